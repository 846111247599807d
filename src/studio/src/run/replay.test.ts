import { describe, expect, test } from "vitest";

import { type Fact, factOf } from "./events";
import { fromSnapshot, NEW, replay, type RunState } from "./replay";

/** Events one second apart. */
function facts(...told: [event: string, stepId: string | null, data?: Partial<Fact>][]): Fact[] {
  return told.map(([event, stepId, data], index) => ({ seq: index + 1, event, stepId, at: (index + 1) * 1000, ...data }));
}
const step = (state: RunState, id: string) => state.steps.get(id);

const FAILING = facts(
  ["run.queued", null], ["run.started", null],
  ["step.scheduled", "a", { attempt: 1, stepType: "http.request" }], ["step.started", "a", { attempt: 1 }],
  ["step.retrying", "a", { attempt: 1, error: "503" }], ["step.started", "a", { attempt: 2 }],
  ["step.failed", "a", { attempt: 2, error: "503 again", handles: [] }], ["step.cancelled", "b"], ["run.failed", null, { error: "503 again" }],
);

describe("replay", () => {
  test("keeps each attempt with its times, its events and its error", () => {
    const state = replay(NEW, FAILING);
    expect(state).toMatchObject({ status: "failed", startedAt: 2000, endedAt: 9000, error: "503 again", seq: 9 });
    expect(step(state, "a")).toMatchObject({ status: "failed", type: "http.request" });
    expect(step(state, "a")?.attempts).toEqual([
      { number: 1, status: "failed", startedAt: 4000, endedAt: 5000, startedSeq: 4, endedSeq: 5, error: "503" },
      { number: 2, status: "failed", startedAt: 6000, endedAt: 7000, startedSeq: 6, endedSeq: 7, error: "503 again" },
    ]);
    expect(step(state, "b")).toMatchObject({ status: "cancelled", attempts: [] });
  });

  test("is the same in one go, one by one, and from the middle; what it began with stays as it is", () => {
    const middle = replay(NEW, FAILING.slice(0, 5));
    const one = FAILING.reduce((state, fact) => replay(state, [fact]), NEW);
    expect(replay(middle, FAILING.slice(5))).toEqual(replay(NEW, FAILING));
    expect(one).toEqual(replay(NEW, FAILING));
    expect(step(middle, "a")?.status).toBe("waiting");
    expect(NEW.steps.size).toBe(0);
  });

  test("a retry makes steps new and goes on", () => {
    const retried = facts(["run.retried", null, { stepIds: ["a", "b"] }], ["step.scheduled", "a", { attempt: 3 }], ["step.started", "a", { attempt: 3 }]);
    const state = replay(replay(NEW, FAILING), retried.slice(0, 1));
    expect(state).toMatchObject({ status: "running", endedAt: undefined, error: undefined });
    expect(step(state, "b")?.status).toBe("pending");
    expect(step(replay(state, retried.slice(1)), "a")?.attempts.map(({ number }) => number)).toEqual([1, 2, 3]);
  });

  test("the handles that a step chose are known, of a failure too", () => {
    const state = replay(NEW, facts(["step.completed", "if", { handles: ["true"] }], ["step.failed", "call", { handles: ["error"] }]));
    expect([step(state, "if")?.handles, step(state, "call")?.handles]).toEqual([["true"], ["error"]]);
  });

  test("a step that waits says for what, until it goes on", () => {
    const waiting = replay(NEW, facts(["step.started", "ok", { attempt: 1 }], ["step.waiting", "ok", { waitsFor: "person" }]));
    expect(step(waiting, "ok")).toMatchObject({ status: "waiting", waitsFor: "person" });
    const answered = replay(waiting, facts(["step.completed", "ok", { attempt: 1, handles: ["default"] }]));
    expect(step(answered, "ok")?.waitsFor).toBeUndefined();
    expect(step(answered, "ok")?.attempts).toHaveLength(1);
  });
});

describe("maps", () => {
  const each = facts(
    ["step.started", "each", { attempt: 1, map: { items: 3, steps: 2 } }],
    ["step.scheduled", "each[0].x", { attempt: 1 }], ["step.scheduled", "each[1].x", { attempt: 1 }],
    ["step.completed", "each[0].x", { handles: ["default"] }], ["step.completed", "each[0].y", { handles: ["default"] }],
    ["step.failed", "each[1].x", { handles: [] }], ["step.cancelled", "each[1].y"],
  );

  test("sum up their items", () => {
    expect(replay(NEW, each.slice(0, 5)).maps.get("each")).toEqual({ items: 3, completed: 1, failed: 0, running: 1 });
    expect(replay(NEW, each).maps.get("each")).toEqual({ items: 3, completed: 1, failed: 1, running: 0 });
  });

  test("an item that was cut off is neither completed nor failed", () => {
    const cut = replay(NEW, [...each.slice(0, 5), ...facts(["step.cancelled", "each"], ["step.cancelled", "each[1].x"], ["step.cancelled", "each[1].y"])]);
    expect(cut.maps.get("each")).toEqual({ items: 3, completed: 1, failed: 0, running: 0 });
  });

  test("sum up the steps of a node inside, and know its ways out", () => {
    const tally = replay(NEW, each).tallies.get("x");
    expect(tally?.counts).toMatchObject({ completed: 1, failed: 1, running: 0 });
    expect(tally?.handles).toEqual(["default"]);
  });

  test("go on with what is retried", () => {
    const failed = replay(NEW, [...each, ...facts(["step.failed", "each", { attempt: 1, handles: [] }])]);
    const state = replay(failed, facts(["run.started", null], ["run.retried", null, { stepIds: ["each", "each[1].x", "each[1].y"] }]));
    expect(step(state, "each")).toMatchObject({ status: "running" });
    expect(state.maps.get("each")).toEqual({ items: 3, completed: 1, failed: 0, running: 1 });
  });

  test("an id that looks like an item is none", () => {
    expect(step(replay(NEW, facts(["step.started", "a[0].b"])), "a[0].b")).toMatchObject({ nodeId: "a[0].b", scope: "" });
  });
});

test("a snapshot says how everything is", () => {
  const state = fromSnapshot({ type: "snapshot", run_id: "r", run_status: "running", seq: 7, step_statuses: { a: "completed", each: "running" }, maps: { each: { items: 9, completed: 4, failed: 0, running: 2 } } });
  expect(state).toMatchObject({ seq: 7, status: "running" });
  expect(step(state, "a")?.status).toBe("completed");
  expect(state.maps.get("each")?.completed).toBe(4);
});

test("facts leave the values out", () => {
  const fact = factOf({ type: "event", seq: 3, event: "step.completed", run_id: "r", step_id: "a", at: "2030-01-01T00:00:00Z", data: { attempt: 1, output: { large: "x" }, handles: ["default"] } });
  expect(fact).toEqual({ seq: 3, event: "step.completed", stepId: "a", at: Date.UTC(2030, 0, 1), attempt: 1, handles: ["default"] });
});

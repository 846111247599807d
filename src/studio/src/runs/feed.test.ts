import { expect, test } from "vitest";

import { type Feed, type FeedAction, feedAfter, type ListFrame, listing, SILENT, type Summary } from "./feed";
import { type Filters, filtersOf } from "./filters";
import type { Row } from "./row";

const AT = "2030-01-01T00:00:00Z", LATER = "2030-01-01T00:00:09Z";
const ALL: Filters = filtersOf(new URLSearchParams());

function row(id: string, status: Row["status"] = "completed"): Row {
  return { id, workflowId: "w", version: 1, trigger: "manual", createdAt: AT, status, startedAt: AT, completedAt: null, error: null };
}

function summary(run_id: string, run_status: Summary["run_status"], seq: number): Summary {
  return { run_id, workflow_id: "w", workflow_version: 1, run_status, trigger_type: "manual", seq, created_at: AT, started_at: null, completed_at: null };
}

function event(run_id: string, seq: number, name: string, data = {}): ListFrame {
  return { type: "event", run_id, seq, event: name, step_id: null, data, at: LATER };
}

function queued(run_id: string): ListFrame {
  return event(run_id, 1, "run.queued", { workflow_id: "w", workflow_version: 2, trigger_type: "webhook" });
}

function after(...actions: FeedAction[]): Feed {
  return actions.reduce(feedAfter, SILENT);
}

function heard(...frames: ListFrame[]): FeedAction {
  return { type: "heard", frames, at: 0 };
}

const live = (...frames: ListFrame[]) => after(heard({ type: "snapshot", runs: [] }, ...frames));
const said = (rows: Row[]) => rows.map(({ id, status }) => `${id} ${status}`);

test("events bring the rows up to date that were read", () => {
  const feed = live(event("b", 5, "run.failed", { error: { code: "x", message: "No." } }));
  const [first] = listing([row("b", "running"), row("a")], feed, ALL, false).rows;
  expect(first).toEqual({ ...row("b", "failed"), completedAt: LATER, error: "No." });
});

test("what was heard before counts no more, and what comes twice counts once", () => {
  const feed = live(event("a", 5, "run.completed"), event("a", 3, "run.started"), event("a", 5, "run.failed"));
  expect(said(listing([row("a", "queued")], feed, ALL, false).rows)).toEqual(["a completed"]);
});

test("new runs come in at the top, in their order", () => {
  const feed = live(queued("d"), queued("c"), event("c", 2, "run.started"));
  const { rows } = listing([row("b"), row("a")], feed, ALL, false);
  expect(said(rows)).toEqual(["d queued", "c running", "b completed", "a completed"]);
  expect(rows[1]).toMatchObject({ version: 2, trigger: "webhook", createdAt: LATER, startedAt: LATER });
});

test("runs leave the list when they are no longer what it lists, and come into it", () => {
  const failed = filtersOf(new URLSearchParams("status=failed"));
  const feed = live(event("b", 9, "run.retried"), queued("c"), event("c", 2, "run.failed"), queued("d"));
  expect(said(listing([row("b", "failed"), row("a", "failed")], feed, failed, false).rows)).toEqual(["c failed", "a failed"]);
});

test("runs that only an event is known of are missing, unless they come later in the list", () => {
  const failed = filtersOf(new URLSearchParams("status=failed"));
  const feed = live(event("b", 9, "run.failed"));
  expect(listing([row("a", "failed")], feed, failed, true).isIncomplete).toBe(true);
  expect(listing([row("c", "failed")], feed, failed, true).isIncomplete).toBe(false);
  expect(listing([row("a", "failed")], live(event("b", 9, "run.completed")), failed, true).isIncomplete).toBe(false);
});

test("after a lost connection the API is believed rather than what was heard before, but for the new snapshot", () => {
  const feed = after(
    heard({ type: "snapshot", runs: [summary("b", "running", 2)] }, queued("c"), event("a", 3, "run.started")),
    { type: "lost", at: 7 },
    heard({ type: "snapshot", runs: [summary("c", "failed", 4)] }),
  );
  expect(feed).toMatchObject({ link: "live", lives: 2 });
  expect(said(listing([row("b", "cancelled"), row("a", "completed")], feed, ALL, false).rows)).toEqual(["c failed", "b cancelled", "a completed"]);
});

test("a lost connection says since when", () => {
  expect(after(heard({ type: "snapshot", runs: [] }), { type: "lost", at: 7 })).toMatchObject({ link: "lost", asOf: 7 });
});

test("what was read anew is not held twice", () => {
  const feed = [{ type: "doubted" }, heard(queued("e")), { type: "read" }].reduce<Feed>((before, action) => feedAfter(before, action as FeedAction), live(queued("c")));
  expect([...feed.heard.keys()]).toEqual(["e"]);
});

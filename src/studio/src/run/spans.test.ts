import { expect, test } from "vitest";

import { NEW, replay } from "./replay";
import { spansOf, ticksOf } from "./spans";

test("attempts of a step stand together, in the order in which steps began", () => {
  const state = replay(NEW, [
    { seq: 1, event: "step.started", stepId: "a", at: 10, attempt: 1 }, { seq: 2, event: "step.started", stepId: "b", at: 20, attempt: 1 },
    { seq: 3, event: "step.retrying", stepId: "a", at: 30, attempt: 1 }, { seq: 4, event: "step.started", stepId: "a", at: 40, attempt: 2 },
    { seq: 5, event: "step.skipped", stepId: "c", at: 50 },
  ]);
  expect(spansOf(state).map(({ step, attempt }) => [step.id, attempt.number])).toEqual([["a", 1], ["a", 2], ["b", 1]]);
});

test("a scale has round marks, and never many", () => {
  expect(ticksOf(4000, 1)).toEqual([0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000]);
  expect(ticksOf(60_000, 1)).toEqual([0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
  for (const length of [1, 37, 999, 61_000, 86_400_000, 4e10]) for (const zoom of [1, 4, 64]) {
    expect(ticksOf(length, zoom).length).toBeLessThanOrEqual(8 * zoom + 1);
  }
});

import { expect, test } from "vitest";

import type { Fact } from "./events";
import { Journal } from "./journal";
import { NEW, replay } from "./replay";

const FACTS: Fact[] = Array.from({ length: 1300 }, (_, index) => ({
  seq: index + 1, event: index % 2 === 0 ? "step.started" : "step.completed", stepId: `s${Math.floor(index / 2)}`, at: index, attempt: 1,
}));

test("events in any order, some of them twice, make one journal without a gap", () => {
  const journal = new Journal();
  journal.add(FACTS.slice(5, 9));
  expect(journal.length).toBe(0);
  expect(journal.ahead.map(({ seq }) => seq)).toEqual([6, 7, 8, 9]);
  journal.add(FACTS.slice(0, 7));
  expect(journal.facts.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(journal.ahead).toEqual([]);
});

test("goes back and forth, and is the same as from the beginning", () => {
  const journal = new Journal();
  journal.add(FACTS);
  for (const seq of [1300, 3, 999, 501, 500, 0, 1000, 1299]) expect(journal.at(seq)).toEqual(replay(NEW, FACTS.slice(0, seq)));
  expect(journal.at(9999).seq).toBe(1300);
});

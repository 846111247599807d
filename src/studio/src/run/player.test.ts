import { expect, test } from "vitest";

import { seqAt, showtimes } from "./player";

test("a night's wait is short, and a burst can be followed", () => {
  expect(showtimes([{ at: 0 }, { at: 200 }, { at: 200 }, { at: 8 * 3600 * 1000 }])).toEqual([30, 230, 260, 1160]);
});

test("however many events there are, it ends", () => {
  const times = showtimes(Array.from({ length: 10_000 }, (_, index) => ({ at: index * 1000 })));
  expect(times.at(-1)).toBeCloseTo(20_000);
});

test("finds what is to be seen", () => {
  const times = [30, 230, 260, 1160];
  expect([0, 30, 259, 5000].map((time) => seqAt(times, time))).toEqual([0, 1, 2, 4]);
});

import type { Fact } from "./events";

const SHORTEST_MS = 30, LONGEST_MS = 900, ALL_MS = 20_000;

/** When each event is shown while a run is played: as it was, save that long waits are short and that all of it takes no longer than 20 s. */
export function showtimes(facts: readonly Pick<Fact, "at">[]): number[] {
  const times: number[] = [];
  let time = 0;
  facts.forEach(({ at }, index) => {
    const gap = index === 0 ? 0 : at - (facts[index - 1]?.at ?? at);
    time += Math.min(Math.max(gap, SHORTEST_MS), LONGEST_MS);
    times.push(time);
  });
  const scale = Math.min(1, ALL_MS / Math.max(time, 1));
  return times.map((each) => each * scale);
}

/** How many of the events are to be seen at a time: those before it. */
export function seqAt(times: readonly number[], time: number): number {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? Infinity) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

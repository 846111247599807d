import type { Attempt, RunState, StepState } from "./replay";

/** A row of the timeline. */
export interface Span {
  step: StepState;
  attempt: Attempt;
}

/** All attempts: step by step in the order in which the steps began, each step's attempts together. */
export function spansOf(state: RunState): Span[] {
  const begun = [...state.steps.values()].filter((step) => step.attempts.length > 0);
  begun.sort((a, b) => (a.attempts[0]?.startedAt ?? 0) - (b.attempts[0]?.startedAt ?? 0));
  return begun.flatMap((step) => step.attempts.map((attempt) => ({ step, attempt })));
}

const ROUND = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800].map((seconds) => seconds * 1000);
const MOST = 8;

/** Round distances, in milliseconds, at which a scale of this length is marked: eight at most for each width of the page. */
export function ticksOf(length: number, zoom: number): number[] {
  const wanted = length / (MOST * zoom);
  const step = wanted < 1000 ? roundBelowOne(wanted) : (ROUND.find((each) => each >= wanted) ?? 10 ** Math.ceil(Math.log10(wanted)));
  return Array.from({ length: Math.min(Math.floor(length / step) + 1, MOST * zoom + 1) }, (_, index) => index * step);
}

function roundBelowOne(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(wanted, 1)));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= wanted) ?? 10);
}

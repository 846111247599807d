import type { components } from "../../generated/api";

export type Problem = components["schemas"]["Problem"];
/** Something that is wrong at one place of what was sent. */
export type Issue = components["schemas"]["Issue"];

/** What the API answered instead: an RFC 9457 problem document. */
export class ProblemError extends Error {
  readonly status: number;
  readonly problem: Partial<Problem>;

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }

  get issues(): readonly Issue[] {
    return this.problem.errors ?? [];
  }
}

import type { Fact } from "./events";
import { NEW, replay, type RunState } from "./replay";

const EVERY = 500;

/** All events of a run from the first one on, without a gap, and the run as of any of them. */
export class Journal {
  readonly facts: readonly Fact[] = [];
  private readonly all: Fact[] = [];
  /** Came before what leads to them. */
  private readonly held = new Map<number, Fact>();
  private readonly checkpoints: RunState[] = [NEW];
  private last = NEW;

  constructor() {
    this.facts = this.all;
  }

  get length(): number {
    return this.all.length;
  }

  /** Events in any order, and any number of times. */
  add(facts: readonly Fact[]): void {
    for (const fact of facts) if (fact.seq > this.all.length) this.held.set(fact.seq, fact);
    for (let next = this.held.get(this.all.length + 1); next !== undefined; next = this.held.get(this.all.length + 1)) {
      this.all.push(next);
      this.held.delete(next.seq);
    }
  }

  /** What came before its time, in order. */
  get ahead(): Fact[] {
    return [...this.held.values()].sort((a, b) => a.seq - b.seq);
  }

  at(seq: number): RunState {
    const wanted = Math.min(Math.max(seq, 0), this.all.length);
    let state = this.last.seq <= wanted ? this.last : (this.checkpoints[Math.min(Math.floor(wanted / EVERY), this.checkpoints.length - 1)] ?? NEW);
    while (state.seq < wanted) {
      const boundary = Math.min((Math.floor(state.seq / EVERY) + 1) * EVERY, wanted);
      state = replay(state, this.all.slice(state.seq, boundary));
      if (boundary % EVERY === 0) this.checkpoints[boundary / EVERY] ??= state;
    }
    this.last = state;
    return state;
  }
}

import { type Snapshot, watchRun } from "../../../stepwire/clients/run-stream";
import { answer, type Client } from "../api/client";
import { ProblemError } from "../api/problem";
import { parseJson } from "../ui/exact";
import { Listeners } from "../auth/listeners";
import type { Session } from "../auth/session";
import { type Fact, factOf } from "./events";
import { OncePerFrame } from "./frames";
import { Journal } from "./journal";
import { fromSnapshot, NEW, replay, type RunState } from "./replay";

const PAGE = 1000, LONGEST_WAIT_MS = 15_000;

/** What is known of a run. */
export interface Watched {
  state: RunState;
  journal: Journal;
  /** How many events there are to go back to; 0 until all that were are here. */
  known: number;
  isLive: boolean;
  /** Since when events do not come as they happen. */
  lostAt?: number | undefined;
  /** Nothing more comes, unless it is taken up again. */
  isOver: boolean;
  problem?: unknown;
}

/** Watches a run, over any number of connections: first how it is, then what comes; and meanwhile all that was. */
export class Watch {
  private readonly journal = new Journal();
  private readonly listeners = new Listeners();
  private readonly frame = new OncePerFrame(() => this.show());
  private readonly client: Client;
  private readonly session: Session;
  private readonly runId: string;
  private abort: AbortController | undefined;
  private snapshot: Snapshot | undefined;
  private last: number | undefined;
  private arrived: Fact[] = [];
  private filling: AbortSignal | undefined;
  private watched: Watched = { state: NEW, journal: this.journal, known: 0, isLive: false, isOver: false };

  constructor(client: Client, session: Session, runId: string) {
    this.client = client;
    this.session = session;
    this.runId = runId;
  }

  readonly subscribe = this.listeners.subscribe;
  readonly current = (): Watched => this.watched;

  /** Begin, or go on after a retry. */
  start(): void {
    if (this.abort !== undefined) return;
    const abort = new AbortController();
    this.abort = abort;
    this.tell({ isOver: false, problem: undefined });
    void this.follow(abort.signal);
    void this.fill(abort.signal);
  }

  stop(): void {
    this.abort?.abort();
    this.abort = undefined;
    this.frame.stop();
  }

  private async follow(signal: AbortSignal): Promise<void> {
    try {
      this.last = await watchRun({
        api: location.origin, runId: this.runId, token: this.session.token, parse: parseJson,
        ...(this.last !== undefined && { after: this.last }),
        onSnapshot: (snapshot) => {
          this.snapshot = snapshot;
          this.frame.ask();
          void this.fill(signal);
        },
        onEvent: (event) => {
          this.arrived.push(factOf(event));
          this.last = event.seq;
          this.frame.ask();
        },
        onLive: (isLive) => this.tell({ isLive, lostAt: isLive ? undefined : (this.watched.lostAt ?? Date.now()) }),
      }, signal);
      if (signal.aborted) return;
      this.abort = undefined;
      this.show();
      this.tell({ isOver: true });
    } catch (problem) {
      if (signal.aborted) return;
      this.abort = undefined;
      this.tell({ problem });
    }
  }

  /** Get the events that there were, up to the snapshot. */
  private async fill(signal: AbortSignal): Promise<void> {
    if (this.filling === signal) return;
    this.filling = signal;
    let failures = 0;
    while (!signal.aborted) {
      try {
        const next = await this.fillPage(signal);
        failures = 0;
        if (next === null && this.journal.length >= (this.snapshot?.seq ?? 0)) break;
      } catch (problem) {
        if (problem instanceof ProblemError && problem.status < 500) {
          this.tell({ problem });
          break;
        }
        await pause(Math.min(500 * 2 ** failures++, LONGEST_WAIT_MS));
      }
    }
    if (this.filling === signal) this.filling = undefined;
  }

  private async fillPage(signal: AbortSignal): Promise<number | null> {
    const { items, next_after: next } = await answer(this.client.GET("/api/v1/runs/{run_id}/events", {
      params: { path: { run_id: this.runId }, query: { after: this.journal.length, limit: PAGE } }, signal,
    }));
    this.journal.add(items.map(factOf));
    this.frame.ask();
    return next;
  }

  private show(): void {
    this.frame.stop();
    this.journal.add(this.arrived);
    this.arrived = [];
    const isComplete = this.journal.length > 0 && this.journal.length >= (this.snapshot?.seq ?? 0);
    const state = isComplete || this.snapshot === undefined
      ? this.journal.at(this.journal.length)
      : replay(fromSnapshot(this.snapshot), this.journal.ahead.filter(({ seq }) => seq > (this.snapshot?.seq ?? 0)));
    this.tell({ state, known: isComplete ? this.journal.length : 0 });
  }

  private tell(change: Partial<Watched>): void {
    this.watched = { ...this.watched, ...change };
    this.listeners.tell();
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

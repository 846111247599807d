import type { RunEvent, RunStatus } from "../../../stepwire/clients/run-stream";
import { type Filters, matches } from "./filters";
import type { Row } from "./row";

/** A run in the feed's snapshot, as of its event `seq`. */
export interface Summary {
  run_id: string;
  workflow_id: string;
  workflow_version: number;
  run_status: RunStatus;
  trigger_type: Row["trigger"];
  seq: number;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
}
export type ListFrame = { type: "snapshot"; runs: Summary[] } | RunEvent;

type Made = Pick<Row, "workflowId" | "version" | "trigger" | "createdAt">;

/** What the feed said of a run. Fields that are not there, it did not say. */
interface Heard {
  seq: number;
  status: RunStatus;
  /** Heard over a connection that was lost since: what the API lists is newer. */
  isStale: boolean;
  made?: Made;
  startedAt?: string | null;
  completedAt?: string | null;
  error?: string | null;
}

export interface Feed {
  heard: ReadonlyMap<string, Heard>;
  link: "connecting" | "live" | "lost";
  /** How often it came to life: each time, something may have been missed before. */
  lives: number;
  /** When it was last heard, in milliseconds since 1970. */
  asOf: number | undefined;
}
export const SILENT: Feed = { heard: new Map(), link: "connecting", lives: 0, asOf: undefined };

export type FeedAction =
  | { type: "heard"; frames: readonly ListFrame[]; at: number }
  | { type: "lost"; at: number }
  /** The list is about to be read anew, and was. */
  | { type: "doubted" }
  | { type: "read" };

export function feedAfter(feed: Feed, action: FeedAction): Feed {
  switch (action.type) {
    case "heard": return action.frames.reduce(hear, { ...feed, heard: new Map(feed.heard), asOf: action.at });
    case "lost": return feed.link === "live" ? { ...feed, link: "lost", asOf: action.at } : feed;
    case "doubted": return { ...feed, heard: staleOf(feed.heard) };
    case "read": return { ...feed, heard: new Map([...feed.heard].filter(([, { isStale }]) => !isStale)) };
  }
}

type Hearing = Feed & { heard: Map<string, Heard> };

function hear(feed: Hearing, frame: ListFrame): Hearing {
  if (frame.type === "snapshot") {
    const heard = staleOf(feed.heard);
    for (const run of frame.runs) heard.set(run.run_id, summed(run));
    return { ...feed, heard, link: "live", lives: feed.lives + 1 };
  }
  const before = feed.heard.get(frame.run_id);
  if (before === undefined || before.seq < frame.seq) feed.heard.set(frame.run_id, { ...before, ...told(frame) });
  return feed;
}

function staleOf(heard: ReadonlyMap<string, Heard>): Map<string, Heard> {
  return new Map([...heard].map(([id, each]) => [id, { ...each, isStale: true }]));
}

function summed(run: Summary): Heard {
  return {
    seq: run.seq, status: run.run_status, isStale: false, startedAt: run.started_at, completedAt: run.completed_at,
    made: { workflowId: run.workflow_id, version: run.workflow_version, trigger: run.trigger_type, createdAt: run.created_at },
  };
}

function told({ event, seq, at, data }: RunEvent): Heard {
  const since = { seq, isStale: false };
  switch (event) {
    case "run.queued": return { ...since, status: "queued", startedAt: null, completedAt: null, made: madeOf(data, at) };
    case "run.started": return { ...since, status: "running", startedAt: at };
    case "run.paused": return { ...since, status: "paused" };
    case "run.completed": return { ...since, status: "completed", completedAt: at };
    case "run.cancelled": return { ...since, status: "cancelled", completedAt: at };
    case "run.failed": return { ...since, status: "failed", completedAt: at, error: (data.error as { message?: string } | undefined)?.message ?? null };
    default: return { ...since, status: "running", completedAt: null, error: null }; // resumed, or retried
  }
}

function madeOf(data: RunEvent["data"], createdAt: string): Made {
  const { workflow_id, workflow_version, trigger_type } = data as Pick<Summary, "workflow_id" | "workflow_version" | "trigger_type">;
  return { workflowId: workflow_id, version: workflow_version, trigger: trigger_type, createdAt };
}

export interface Listing {
  /** Newest first. */
  rows: Row[];
  /** Whether there are runs that belong here and of which too little is known to show them. */
  isIncomplete: boolean;
}

/**
 * The list: what the API listed, brought up to date by the feed. Ids begin with the time, so their order is the list's.
 * Where the list goes on after what was read, runs older than that are not shown yet.
 */
export function listing(read: readonly Row[], feed: Feed, filters: Filters, goesOn: boolean): Listing {
  const rows = new Map(read.map((row) => [row.id, row]));
  const oldest = goesOn ? read.at(-1)?.id ?? "" : "";
  let isIncomplete = false, isLonger = false;
  for (const [id, heard] of feed.heard) {
    const row = rows.get(id);
    if (row !== undefined) {
      if (!heard.isStale) rows.set(id, brought(row, heard));
    } else if (id > oldest && heard.made !== undefined) {
      isLonger = true;
      rows.set(id, brought({ id, ...heard.made, status: heard.status, startedAt: null, completedAt: null, error: null }, heard));
    } else if (id > oldest && !heard.isStale && couldMatch(heard, filters)) {
      isIncomplete = true;
    }
  }
  const found = [...rows.values()].filter((row) => matches(row, filters));
  return { rows: isLonger ? found.sort((one, other) => (one.id < other.id ? 1 : -1)) : found, isIncomplete };
}

function couldMatch({ status }: Heard, { statuses }: Filters): boolean {
  return statuses.length === 0 || statuses.includes(status);
}

function brought(row: Row, { status, startedAt = row.startedAt, completedAt = row.completedAt, error = row.error }: Heard): Row {
  return { ...row, status, startedAt, completedAt, error };
}

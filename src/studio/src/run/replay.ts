import type { MapSummary, RunStatus, Snapshot, StepStatus } from "../../../stepwire/clients/run-stream";
import type { Fact, WaitsFor } from "./events";
import { type Place, placeOf } from "./places";

/** One try of a step. */
export interface Attempt {
  number: number;
  status: StepStatus;
  startedAt: number;
  endedAt?: number;
  error?: string;
  /** The events that carry its input, and its output or error. */
  startedSeq?: number;
  endedSeq?: number;
}

export interface StepState extends Place {
  id: string;
  status: StepStatus;
  type: string;
  attempts: readonly Attempt[];
  /** The ways out that it chose. */
  handles: readonly string[];
  waitsFor?: WaitsFor | undefined;
  until?: string | undefined;
  childRunId?: string | undefined;
}

/** How the items of a map fare with one of its nodes. */
export interface Tally {
  counts: Readonly<Partial<Record<StepStatus, number>>>;
  handles: readonly string[];
}

/** A run as of an event. Never changed: `replay` makes another one. */
export interface RunState {
  seq: number;
  status: RunStatus;
  startedAt?: number;
  /** When the last event was. */
  at?: number;
  endedAt?: number | undefined;
  error?: string | undefined;
  steps: ReadonlyMap<string, StepState>;
  /** By path of the map. */
  maps: ReadonlyMap<string, MapSummary>;
  /** By id of a node inside a map. */
  tallies: ReadonlyMap<string, Tally>;
  /** By scope. */
  items: ReadonlyMap<string, Item>;
}

/** How many steps of an item have settled, of how many, and how many of them were cancelled. */
interface Item { settled: number; of: number; cancelled: number; hasFailed: boolean }

export const SETTLED: ReadonlySet<StepStatus> = new Set(["completed", "failed", "skipped", "cancelled"]);
export const ENDED: ReadonlySet<RunStatus> = new Set(["completed", "failed", "cancelled"]);

const RUN_STATUS: Record<string, RunStatus> = {
  "run.queued": "queued", "run.started": "running", "run.paused": "paused", "run.resumed": "running", "run.retried": "running",
  "run.completed": "completed", "run.failed": "failed", "run.cancelled": "cancelled",
};
const STEP_STATUS: Record<string, StepStatus> = {
  "step.scheduled": "running", "step.started": "running", "step.retrying": "waiting", "step.waiting": "waiting",
  "step.completed": "completed", "step.failed": "failed", "step.skipped": "skipped", "step.cancelled": "cancelled",
};
const ATTEMPT_ENDS: ReadonlySet<string> = new Set(["step.retrying", "step.completed", "step.failed", "step.cancelled"]);

export const NEW: RunState = { seq: 0, status: "queued", steps: new Map(), maps: new Map(), tallies: new Map(), items: new Map() };

/** What a snapshot says: how every step is, though not since when. */
export function fromSnapshot({ seq, run_status: status, step_statuses, maps }: Snapshot): RunState {
  const known = new Map(Object.entries(maps));
  const steps = Object.entries(step_statuses).map(([id, stepStatus]): [string, StepState] => [id, { ...untouched(id, known), status: stepStatus }]);
  return { ...NEW, seq, status, steps: new Map(steps), maps: known };
}

/** The run after these events, which follow those that made it what it is. */
export function replay(before: RunState, facts: readonly Fact[]): RunState {
  if (facts.length === 0) return before;
  const draft: Draft = { ...before, steps: new Map(before.steps), maps: new Map(before.maps), tallies: new Map(before.tallies), items: new Map(before.items) };
  for (const fact of facts) take(draft, fact);
  return draft;
}

interface Draft extends RunState {
  steps: Map<string, StepState>;
  maps: Map<string, MapSummary>;
  tallies: Map<string, Tally>;
  items: Map<string, Item>;
}

function take(draft: Draft, fact: Fact): void {
  draft.seq = fact.seq;
  draft.at = fact.at;
  if (fact.stepId === null) takeRun(draft, fact);
  else takeStep(draft, fact.stepId, fact);
}

function takeRun(draft: Draft, fact: Fact): void {
  draft.status = RUN_STATUS[fact.event] ?? draft.status;
  if (fact.event === "run.started") draft.startedAt = fact.at;
  draft.endedAt = ENDED.has(draft.status) ? fact.at : undefined;
  draft.error = fact.event === "run.failed" ? fact.error : undefined;
  if (fact.event !== "run.retried") return;
  if (draft.startedAt === undefined) draft.status = "queued";
  for (const id of fact.stepIds ?? []) renew(draft, id);
}

/** A map goes on where it was; any other step is as new, and its attempts count on. */
function renew(draft: Draft, id: string): void {
  const step = draft.steps.get(id) ?? untouched(id, draft.maps);
  const isMap = draft.maps.has(id);
  put(draft, { ...step, status: isMap ? "running" : "pending", handles: [], waitsFor: undefined, until: undefined, ...(isMap && { attempts: reopened(step.attempts) }) });
}

function reopened(attempts: readonly Attempt[]): readonly Attempt[] {
  return attempts.map(({ number, startedAt, startedSeq, ...rest }, index) => {
    const begun = { number, startedAt, ...(startedSeq !== undefined && { startedSeq }) };
    return index < attempts.length - 1 ? { ...begun, ...rest } : { ...begun, status: "running" };
  });
}

function takeStep(draft: Draft, id: string, fact: Fact): void {
  const step = draft.steps.get(id) ?? untouched(id, draft.maps);
  const status = STEP_STATUS[fact.event] ?? step.status;
  put(draft, {
    ...step, status,
    type: fact.stepType ?? step.type,
    attempts: attemptsAfter(step.attempts, status, fact),
    handles: fact.handles ?? (SETTLED.has(status) ? step.handles : []),
    waitsFor: status === "waiting" ? (fact.waitsFor ?? "time") : undefined,
    until: status === "waiting" ? fact.until : undefined,
    childRunId: fact.childRunId ?? step.childRunId,
  });
  if (fact.map !== undefined) draft.maps.set(id, { items: fact.map.items, completed: 0, failed: 0, running: 0 });
  if (fact.map !== undefined) draft.items.set(id, { settled: 0, of: fact.map.steps, cancelled: 0, hasFailed: false }); // how many steps each item has
}

function attemptsAfter(attempts: readonly Attempt[], status: StepStatus, fact: Fact): readonly Attempt[] {
  const last = attempts.at(-1);
  const isOpen = last !== undefined && last.endedAt === undefined;
  if (fact.event === "step.started" && !isOpen) return [...attempts, { number: fact.attempt ?? attempts.length + 1, status, startedAt: fact.at, startedSeq: fact.seq }];
  if (fact.event === "step.waiting" && isOpen) return [...attempts.slice(0, -1), { ...last, status }];
  if (!ATTEMPT_ENDS.has(fact.event)) return attempts;
  if (!isOpen && fact.event === "step.cancelled") return attempts;
  const attempt: Attempt = isOpen ? last : { number: fact.attempt ?? attempts.length + 1, status, startedAt: fact.at };
  const ended: Attempt = { ...attempt, status: fact.event === "step.retrying" ? "failed" : status, endedAt: fact.at, endedSeq: fact.seq };
  if (fact.error !== undefined) ended.error = fact.error;
  return [...(isOpen ? attempts.slice(0, -1) : attempts), ended];
}

function untouched(id: string, maps: ReadonlyMap<string, unknown>): StepState {
  return { ...placeOf(id, maps), id, status: "pending", type: "", attempts: [], handles: [] };
}

function put(draft: Draft, step: StepState): void {
  const before = draft.steps.get(step.id)?.status;
  draft.steps.set(step.id, step);
  if (step.map === undefined) return;
  tally(draft, step, before);
  count(draft, step, before, step.map);
}

function tally(draft: Draft, step: StepState, before: StepStatus | undefined): void {
  const known = draft.tallies.get(step.nodeId) ?? { counts: {}, handles: [] };
  const counts = { ...known.counts, [step.status]: (known.counts[step.status] ?? 0) + 1 };
  if (before !== undefined) counts[before] = (counts[before] ?? 1) - 1;
  const chosen = step.handles.filter((handle) => !known.handles.includes(handle));
  draft.tallies.set(step.nodeId, { counts, handles: chosen.length === 0 ? known.handles : [...known.handles, ...chosen] });
}

/** An item is over when all of its steps are; it has failed when a step did and nothing takes over, and was cut off when a step was. */
function count(draft: Draft, step: StepState, before: StepStatus | undefined, map: string): void {
  const summary = draft.maps.get(map);
  const of = draft.items.get(map)?.of;
  if (summary === undefined || of === undefined) return;
  const known = draft.items.get(step.scope);
  const item = known ?? { settled: 0, of, cancelled: 0, hasFailed: false };
  const wasSettled = before !== undefined && SETTLED.has(before);
  const isSettled = SETTLED.has(step.status);
  const settled = item.settled + Number(isSettled) - Number(wasSettled);
  const isUnanswered = step.status === "failed" && step.handles.length === 0;
  const cancelled = item.cancelled + Number(step.status === "cancelled") - Number(before === "cancelled");
  const now = { settled, of, cancelled, hasFailed: isUnanswered || (item.hasFailed && step.status !== "pending") };
  draft.items.set(step.scope, now);
  const change = { completed: 0, failed: 0, running: 0, cancelled: 0 };
  if (known !== undefined) change[outcome(known)] -= 1;
  change[outcome(now)] += 1;
  draft.maps.set(map, {
    items: summary.items, completed: summary.completed + change.completed, failed: summary.failed + change.failed, running: summary.running + change.running,
  });
}

function outcome({ settled, of, cancelled, hasFailed }: Item): "completed" | "failed" | "running" | "cancelled" {
  if (settled < of) return "running";
  if (hasFailed) return "failed";
  return cancelled > 0 ? "cancelled" : "completed";
}

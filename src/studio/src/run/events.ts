import type { RunEvent as Received } from "../../../stepwire/clients/run-stream";
import type { RunEvent as Listed } from "../api/client";
import { isObject } from "../ui/json";

export type WaitsFor = "time" | "person" | "run";

/** An event without the values that it carries, which may be large: these are fetched where somebody looks at them. */
export interface Fact {
  seq: number;
  event: string;
  stepId: string | null;
  /** Milliseconds since 1970. */
  at: number;
  attempt?: number;
  stepType?: string;
  handles?: readonly string[];
  error?: string;
  waitsFor?: WaitsFor;
  until?: string;
  childRunId?: string;
  /** What a map was started with. */
  map?: { items: number; steps: number };
  /** What a retry makes new. */
  stepIds?: readonly string[];
}

const WAITS: readonly WaitsFor[] = ["time", "person", "run"];
const MAX_TEXT = 300;

export function factOf({ seq, event, step_id, at, data }: Received | Listed): Fact {
  const fact: Fact = { seq, event, stepId: step_id, at: Date.parse(at) };
  const error = record(data.error)?.message;
  const map = record(data.map);
  const childRunId = record(data.output)?.run_id;
  const waitsFor = WAITS.find((each) => each === data.waits_for);
  if (typeof data.attempt === "number") fact.attempt = data.attempt;
  if (typeof data.step_type === "string") fact.stepType = data.step_type;
  if (Array.isArray(data.handles)) fact.handles = texts(data.handles);
  if (typeof error === "string") fact.error = error.slice(0, MAX_TEXT);
  if (waitsFor !== undefined) fact.waitsFor = waitsFor;
  if (typeof data.until === "string") fact.until = data.until;
  if (typeof data.next_attempt_at === "string") fact.until = data.next_attempt_at;
  if (typeof map?.items === "number" && typeof map.steps === "number") fact.map = { items: map.items, steps: map.steps };
  if (waitsFor === "run" && typeof childRunId === "string") fact.childRunId = childRunId;
  if (Array.isArray(data.step_ids)) fact.stepIds = texts(data.step_ids);
  return fact;
}

export function record(value: unknown): Record<string, unknown> | undefined {
  return isObject(value) ? value : undefined;
}

function texts(values: readonly unknown[]): string[] {
  return values.filter((value) => typeof value === "string");
}

import type { RunStatus } from "../../../stepwire/clients/run-stream";
import type { Row } from "./row";

export const STATUSES: readonly RunStatus[] = ["queued", "running", "paused", "completed", "failed", "cancelled"];
export const TRIGGERS: readonly Row["trigger"][] = ["manual", "webhook", "schedule", "workflow"];

/** Which runs to list, as the address says. */
export interface Filters {
  workflowId: string | undefined;
  statuses: readonly RunStatus[];
  trigger: Row["trigger"] | undefined;
  /** Instants as RFC 3339: created at `since` or after it, and before `until`. */
  since: string | undefined;
  until: string | undefined;
}

/** The filters of a query; what it says that makes no sense does not count. */
export function filtersOf(query: URLSearchParams): Filters {
  const asked = query.getAll("status"), workflowId = query.get("workflow_id") ?? "";
  return {
    workflowId: workflowId === "" ? undefined : workflowId,
    statuses: STATUSES.filter((each) => asked.includes(each)),
    trigger: TRIGGERS.find((each) => each === query.get("trigger_type")),
    since: instant(query.get("since")),
    until: instant(query.get("until")),
  };
}

export function queryOf({ workflowId, statuses, trigger, since, until }: Filters): URLSearchParams {
  const query = new URLSearchParams();
  if (workflowId !== undefined) query.set("workflow_id", workflowId);
  for (const status of statuses) query.append("status", status);
  if (trigger !== undefined) query.set("trigger_type", trigger);
  if (since !== undefined) query.set("since", since);
  if (until !== undefined) query.set("until", until);
  return query;
}

export function matches(row: Row, { workflowId, statuses, trigger, since, until }: Filters): boolean {
  if (workflowId !== undefined && row.workflowId !== workflowId) return false;
  if (statuses.length > 0 && !statuses.includes(row.status)) return false;
  if (trigger !== undefined && row.trigger !== trigger) return false;
  const created = Date.parse(row.createdAt);
  return (since === undefined || created >= Date.parse(since)) && (until === undefined || created < Date.parse(until));
}

/** An instant as `<input type="datetime-local">` has it, in the reader's zone. */
export function localTime(at: string | undefined): string {
  if (at === undefined) return "";
  const moment = new Date(at);
  const [year, ...rest] = [moment.getFullYear(), moment.getMonth() + 1, moment.getDate(), moment.getHours(), moment.getMinutes()];
  const [month, day, hour, minute] = rest.map((each) => String(each).padStart(2, "0"));
  return `${String(year).padStart(4, "0")}-${month}-${day}T${hour}:${minute}`;
}

export function instant(text: string | null): string | undefined {
  const moment = new Date(text ?? "");
  return Number.isNaN(moment.getTime()) ? undefined : moment.toISOString();
}

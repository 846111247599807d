import type { RunStatus } from "../../../stepwire/clients/run-stream";
import type { Run } from "../api/client";

/** What the list shows of a run. Inputs and outputs are not kept: there may be thousands of rows. */
export interface Row {
  id: string;
  workflowId: string;
  version: number;
  trigger: Run["trigger_type"];
  createdAt: string;
  status: RunStatus;
  startedAt: string | null;
  completedAt: string | null;
  error: string | null;
}

export function rowOf(run: Run): Row {
  return {
    id: run.id, workflowId: run.workflow_id, version: run.workflow_version, trigger: run.trigger_type, createdAt: run.created_at, status: run.status,
    startedAt: run.started_at ?? null, completedAt: run.completed_at ?? null, error: run.error?.message ?? null,
  };
}

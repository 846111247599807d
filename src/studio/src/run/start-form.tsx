import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";

import { answer, keyOf, useClient } from "../api/client";
import { ProblemError } from "../api/problem";
import DataForm from "../forms/data-form";
import { DialogActions } from "../ui/dialog";
import { ProblemNote } from "../ui/problem";
import type { Startable } from "./start";

/** The input of a run, asked for as the workflow's schema has it. */
export default function StartForm({ workflow, onClose }: { workflow: Startable; onClose: () => void }) {
  const client = useClient();
  const [, navigate] = useLocation();
  const [keys] = useState(() => new Map<string, string>());
  const start = useMutation({
    mutationFn: (input: Record<string, unknown>) => answer(client.POST("/api/v1/workflows/{workflow_id}/run", {
      params: { path: { workflow_id: workflow.id }, header: { "X-Idempotency-Key": keyOf(keys, input) } }, body: { input },
    })),
    onSuccess: (run) => navigate(`/runs/${run.id}`),
  });
  const issues = start.error instanceof ProblemError ? start.error.issues : [];
  return (
    <>
      {workflow.input_schema === null && <p className="note">This workflow does not say what it takes: any JSON object will do.</p>}
      <ProblemNote error={start.error} />
      <DataForm schema={workflow.input_schema} label="Input" at="/input" issues={issues} onSubmit={(input) => start.mutate(input)}>
        <DialogActions>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={start.isPending}>{start.isPending ? "Starting …" : "Start run"}</button>
        </DialogActions>
      </DataForm>
    </>
  );
}

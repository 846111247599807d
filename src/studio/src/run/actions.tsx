import { useMutation } from "@tanstack/react-query";
import { Ban, RotateCcw } from "lucide-react";
import { useState } from "react";

import type { RunStatus } from "../../../stepwire/clients/run-stream";
import { answer, type Run, useClient, type Workflow } from "../api/client";
import { Dialog, DialogActions } from "../ui/dialog";
import { ProblemNote } from "../ui/problem";
import { ENDED } from "./replay";
import { RunButton } from "./start";

interface ActionsProps {
  run: Run;
  status: RunStatus;
  workflow: Workflow | undefined;
  /** The run was taken up again. */
  onRetried: () => void;
}

/** What can be done with a run as it is now. */
export function Actions({ run, status, workflow, onRetried }: ActionsProps) {
  const client = useClient();
  const [isAsking, setIsAsking] = useState(false);
  const path = { params: { path: { run_id: run.id } } };
  const cancel = useMutation({
    mutationFn: () => answer(client.POST("/api/v1/runs/{run_id}/cancel", path)),
    onSuccess: () => setIsAsking(false),
  });
  const retry = useMutation({ mutationFn: () => answer(client.POST("/api/v1/runs/{run_id}/retry", path)), onSuccess: onRetried });
  const close = () => {
    setIsAsking(false);
    cancel.reset();
  };
  return (
    <>
      {!ENDED.has(status) && (
        <button type="button" className="danger" disabled={cancel.isSuccess} onClick={() => setIsAsking(true)}>
          <Ban size={14} aria-hidden="true" /> {cancel.isSuccess ? "Cancelling …" : "Cancel run"}
        </button>
      )}
      {status === "failed" && (
        <button type="button" disabled={retry.isPending} onClick={() => retry.mutate()}>
          <RotateCcw size={14} aria-hidden="true" /> {retry.isPending ? "Retrying …" : "Retry"}
        </button>
      )}
      {workflow?.status === "published" && <RunButton workflow={workflow} />}
      {retry.error !== null && <ProblemNote error={retry.error} />}
      {isAsking && (
        <Dialog title="Cancel this run?" onClose={close}>
          <p>Steps that are at work are stopped, not awaited. A cancelled run cannot be taken up again.</p>
          <ProblemNote error={cancel.error} />
          <DialogActions>
            <button type="button" autoFocus onClick={close}>Let it go on</button>
            <button type="button" className="danger" disabled={cancel.isPending} onClick={() => cancel.mutate()}>Cancel run</button>
          </DialogActions>
        </Dialog>
      )}
    </>
  );
}

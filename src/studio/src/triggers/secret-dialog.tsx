import { useMutation } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";

import { answer, newKey, useClient } from "../api/client";
import { Dialog, DialogActions } from "../ui/dialog";
import { ProblemNote } from "../ui/problem";
import type { WebhookMode } from "./webhook-config";

interface SecretDialogProps {
  workflowId: string;
  mode: WebhookMode;
  onMade: (secret: string) => void;
  onClose: () => void;
}

/** Make a signing secret, or take the one that the sender has fixed. */
export function SecretDialog({ workflowId, mode, onMade, onClose }: SecretDialogProps) {
  const client = useClient();
  const [isGiven, setIsGiven] = useState(mode === "stripe" || mode === "slack");
  const [given, setGiven] = useState("");
  const [key, setKey] = useState(newKey);
  const make = useMutation({
    mutationFn: () =>
      answer(client.POST("/api/v1/triggers/webhook/{workflow_id}/secret", {
        params: { path: { workflow_id: workflowId }, header: { "X-Idempotency-Key": key } }, body: { secret: isGiven ? given : null },
      })),
    onSuccess: ({ secret }) => onMade(secret),
  });
  const changed = () => setKey(newKey()); // another secret is another wish
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    make.mutate();
  };
  return (
    <Dialog title="New signing secret" onClose={onClose}>
      <form onSubmit={submit} autoComplete="off">
        <p>Senders that sign with the secret of before are taken for another 24 hours, then no more.</p>
        <fieldset className="choices">
          <legend>Which one</legend>
          <label><input type="radio" name="whose" checked={!isGiven} onChange={() => { setIsGiven(false); changed(); }} /> Make one</label>
          <label><input type="radio" name="whose" checked={isGiven} onChange={() => { setIsGiven(true); changed(); }} /> The one that the sender has</label>
        </fieldset>
        {isGiven && (
          <label>
            The sender’s secret <input type="password" autoComplete="off" className="mono" value={given} minLength={8} maxLength={500} required autoFocus
              onChange={(event) => { setGiven(event.currentTarget.value); changed(); }} />
          </label>
        )}
        <ProblemNote error={make.error} />
        <DialogActions>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={make.isPending}>{isGiven ? "Set the secret" : "Make a secret"}</button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

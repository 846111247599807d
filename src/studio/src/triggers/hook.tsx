import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";

import { answer, type Client, newKey, type Schemas, useClient } from "../api/client";
import { ProblemError } from "../api/problem";
import { Confirm } from "../ui/confirm";
import { ProblemNote } from "../ui/problem";
import { Deliveries } from "./deliveries";
import { SecretOnce } from "./secret-once";

type Hook = Schemas["HookResponse"];
type HookEvent = NonNullable<Schemas["HookInput"]["events"]>[number];
const EVENTS: readonly HookEvent[] = ["run.completed", "run.failed", "run.cancelled"];

function hookKey(workflowId: string) {
  return ["hook", workflowId];
}

/** Whom to tell when runs have ended, and what became of that. */
export function HookSection({ workflowId }: { workflowId: string }) {
  const client = useClient();
  const [secret, setSecret] = useState<string>();
  const { data: hook, error } = useQuery({ queryKey: hookKey(workflowId), queryFn: ({ signal }) => hookOf(client, workflowId, signal) });
  return (
    <section aria-labelledby="hook">
      <h2 id="hook">When runs have ended</h2>
      <p className="note">Have an address told. Each delivery is signed as Standard Webhooks has it, and sent until it is answered with 2xx, for about a day.</p>
      <ProblemNote error={error} />
      {secret !== undefined && <SecretOnce secret={secret} what="the secret that deliveries are signed with" />}
      {hook !== undefined && <HookForm key={hook?.updated_at ?? ""} workflowId={workflowId} hook={hook} onSecret={setSecret} />}
      {hook !== undefined && <Deliveries workflowId={workflowId} hasHook={hook !== null} />}
    </section>
  );
}

async function hookOf(client: Client, workflowId: string, signal: AbortSignal): Promise<Hook | null> {
  try {
    return await answer(client.GET("/api/v1/workflows/{workflow_id}/hook", { signal, params: { path: { workflow_id: workflowId } } }));
  } catch (error) {
    if (error instanceof ProblemError && error.status === 404) return null;
    throw error;
  }
}

interface HookFormProps {
  workflowId: string;
  hook: Hook | null;
  onSecret: (secret: string | undefined) => void;
}

function HookForm({ workflowId, hook, onSecret }: HookFormProps) {
  const client = useClient();
  const queries = useQueryClient();
  const [url, setUrl] = useState(hook?.url ?? "");
  const [events, setEvents] = useState<readonly HookEvent[]>(EVENTS.filter((each) => hook?.events.includes(each) ?? true));
  const [asking, setAsking] = useState<"delete" | "renew">();
  const [key, setKey] = useState(newKey);
  const path = { workflow_id: workflowId };
  const refresh = () => queries.invalidateQueries({ queryKey: hookKey(workflowId) });
  const save = useMutation({
    mutationFn: () => answer(client.PUT("/api/v1/workflows/{workflow_id}/hook", { params: { path }, body: { url, events: [...events] } })),
    onSuccess: async ({ secret }) => {
      if (secret !== undefined) onSecret(secret);
      await refresh();
    },
  });
  const renew = useMutation({
    mutationFn: () => answer(client.POST("/api/v1/workflows/{workflow_id}/hook/secret", { params: { path, header: { "X-Idempotency-Key": key } } })),
    onSuccess: ({ secret }) => {
      onSecret(secret);
      setKey(newKey());
      setAsking(undefined);
    },
  });
  const remove = useMutation({
    mutationFn: () => answer(client.DELETE("/api/v1/workflows/{workflow_id}/hook", { params: { path } })),
    onSuccess: async () => {
      onSecret(undefined);
      await refresh();
    },
  });
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit}>
      <label>Address <input type="url" value={url} onChange={(event) => setUrl(event.currentTarget.value)} required maxLength={2000} placeholder="https://example.com/hooks/stepwire" /></label>
      <fieldset className="choices">
        <legend>Tell it of</legend>
        {EVENTS.map((each) => (
          <label key={each}>
            <input type="checkbox" checked={events.includes(each)}
              onChange={() => setEvents(EVENTS.filter((other) => (other === each) !== events.includes(other)))} /> {each}
          </label>
        ))}
      </fieldset>
      <ProblemNote error={save.error} />
      <div className="row">
        <button type="submit" className={hook === null ? "primary" : ""} disabled={save.isPending || events.length === 0}>{hook === null ? "Set the address" : "Save"}</button>
        {hook !== null && <button type="button" onClick={() => setAsking("renew")}>New delivery secret</button>}
        {hook !== null && <button type="button" className="danger" onClick={() => setAsking("delete")}>Delete the address</button>}
      </div>
      {asking === "renew" && (
        <Confirm title="Sign with a new secret?" action="Make a new secret" isPending={renew.isPending} error={renew.error} onConfirm={() => renew.mutate()}
          onClose={() => setAsking(undefined)}>
          <p>For a day, deliveries are signed with both, so that the receiver can change when it likes.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm title="Tell this address no more?" action="Delete the address" isPending={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()}
          onClose={() => setAsking(undefined)}>
          <p>What was still to be sent is not sent.</p>
        </Confirm>
      )}
    </form>
  );
}

import { useState } from "react";

import type { Workflow } from "../api/client";
import { CopyButton } from "../ui/copy";
import { CurlLine } from "./curl-line";
import { MODE_SAYS, webhookOf } from "./webhook-config";
import { RecentRuns } from "./recent-runs";
import { SecretDialog } from "./secret-dialog";
import { SecretOnce } from "./secret-once";

/** The workflow's address for senders, what they have to prove, and a request to try it with. */
export function Webhook({ workflow: { id, status, definition } }: { workflow: Workflow }) {
  const [isAsking, setIsAsking] = useState(false);
  const [made, setMade] = useState<string>();
  const config = webhookOf(definition);
  const url = `${location.origin}/api/v1/triggers/webhook/${id}`;
  return (
    <section aria-labelledby="webhook">
      <h2 id="webhook">Webhook</h2>
      <div className="row address"><code className="grow">{url}</code><CopyButton text={url} what="the webhook address" /></div>
      {status === "draft" && <p className="note">It takes requests once the workflow is published.</p>}
      {status === "archived" && <p className="note">The workflow is archived: the address takes no more requests.</p>}
      <p>
        {MODE_SAYS[config.mode]} {config.mode === "token" && <>The header is <code>{config.header}</code>. </>}
        {config.waits ? "It is answered when the run is finished." : "It is answered at once."}
      </p>
      {config.mode !== "none" && (
        <>
          <button type="button" onClick={() => setIsAsking(true)}>New signing secret</button>
          {made !== undefined && <SecretOnce secret={made} what="the signing secret" />}
        </>
      )}
      <CurlLine key={made ?? ""} url={url} config={config} known={made ?? ""} />
      {isAsking && (
        <SecretDialog workflowId={id} mode={config.mode} onClose={() => setIsAsking(false)} onMade={(secret) => { setMade(secret); setIsAsking(false); }} />
      )}
      <RecentRuns workflowId={id} />
    </section>
  );
}

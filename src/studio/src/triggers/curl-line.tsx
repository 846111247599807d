import { RefreshCw } from "lucide-react";
import { useEffect, useState } from "react";

import { newKey } from "../api/client";
import { CopyButton } from "../ui/copy";
import { ProblemNote } from "../ui/problem";
import { curl } from "./curl";
import { GOOD_FOR_MS, type Headers, runsOut, signed } from "./signing";
import type { WebhookConfig } from "./webhook-config";

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const EXAMPLE = '{"order": {"id": 17, "total": 120}}';

interface CurlLineProps {
  url: string;
  config: WebhookConfig;
  /** The secret, where it is known. It stays in this page. */
  known: string;
}

interface Delivery {
  id: string;
  at: number;
}

function newDelivery(): Delivery {
  return { id: `msg_${newKey()}`, at: Date.now() };
}

/** A request as a command line, signed as the server wants it. */
export function CurlLine({ url, config: { mode, header }, known }: CurlLineProps) {
  const [secret, setSecret] = useState(known);
  const [body, setBody] = useState(EXAMPLE);
  const [{ id, at }, setDelivery] = useState(newDelivery);
  const [headers, setHeaders] = useState<Headers>();
  const [error, setError] = useState<unknown>();
  const needsSecret = mode !== "none";
  useEffect(() => {
    let isWanted = true;
    const take = (found: Headers) => isWanted && setHeaders(found);
    const fail = (thrown: unknown) => isWanted && setError(thrown);
    if (secret !== "" || !needsSecret) signed({ mode, secret, header, body, id, at }).then(take, fail);
    return () => {
      isWanted = false;
    };
  }, [mode, secret, header, body, id, at, needsSecret]);
  const isSigned = headers !== undefined && (secret !== "" || !needsSecret);
  const line = isSigned ? curl(url, headers, body) : "";
  return (
    <details className="try" open={known !== ""}>
      <summary>Try it with curl</summary>
      {needsSecret && (
        <label>
          Signing secret <input type="password" autoComplete="off" className="mono" value={secret} onChange={(event) => setSecret(event.currentTarget.value)}
            aria-describedby="secret-stays" />
          <span id="secret-stays" className="note">It signs the line below in this page, and is sent nowhere.</span>
        </label>
      )}
      <label>Body <textarea className="mono" rows={3} spellCheck={false} value={body} onChange={(event) => setBody(event.currentTarget.value)} /></label>
      {!window.isSecureContext && needsSecret
        ? <p className="note">Browsers sign over HTTPS or on this machine only: open the studio as <code>https://…</code> or <code>http://localhost</code>.</p>
        : <ProblemNote error={error} />}
      {isSigned ? (
        <>
          <pre tabIndex={0} aria-label="Signed request" className="curl">{line}</pre>
          <div className="row">
            <CopyButton text={line} what="the command" />
            <button type="button" onClick={() => setDelivery(newDelivery())}><RefreshCw size={14} aria-hidden="true" /> Refresh</button>
            <span className="note" role="status">
              {runsOut(mode) && `Good until ${TIME.format(at + GOOD_FOR_MS)}. `}
              {(mode === "standard" || mode === "github") && "Sent twice, it starts one run: refresh for another."}
            </span>
          </div>
        </>
      ) : needsSecret && secret === "" && <p className="note">Make a new secret, or enter the one that you have.</p>}
    </details>
  );
}

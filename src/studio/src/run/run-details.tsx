import { Link } from "wouter";

import type { Run } from "../api/client";
import { Moment } from "../ui/time";
import { JsonTree } from "./json-tree";
import type { RunState } from "./replay";

const TRIGGERS: Record<Run["trigger_type"], string> = { manual: "by hand or through the API", webhook: "by a webhook", schedule: "by a schedule", workflow: "by another run" };

interface RunDetailsProps {
  run: Run;
  state: RunState;
  /** Shown as of an earlier event: what it ended with is not known then. */
  isPast: boolean;
  onSelect: (stepId: string) => void;
}

/** What a run was given and gave. */
export function RunDetails({ run, state, isPast, onSelect }: RunDetailsProps) {
  const failed = [...state.steps.values()].filter(({ status, handles }) => status === "failed" && handles.length === 0);
  return (
    <>
      <dl className="facts">
        <dt>Started</dt><dd>{TRIGGERS[run.trigger_type]}</dd>
        <dt>Accepted</dt><dd><Moment at={run.created_at} /></dd>
        {run.parent_run_id != null && <><dt>Parent</dt><dd><Link href={`/runs/${run.parent_run_id}`}>Open the run that started it</Link></dd></>}
      </dl>
      {state.status === "failed" && (
        <section aria-label="Error">
          <h3>Error</h3>
          <div className="problem">
            <p>{state.error ?? run.error?.message}</p>
            {failed.slice(0, 5).map(({ id }) => <p key={id}><button type="button" onClick={() => onSelect(id)}>Show {id}</button></p>)}
          </div>
        </section>
      )}
      {!isPast && state.status === "completed" && run.status === "completed" && <section aria-label="Output"><h3>Output</h3><JsonTree value={run.output ?? null} what="output" /></section>}
      <section aria-label="Input"><h3>Input</h3><JsonTree value={run.input} what="input" /></section>
    </>
  );
}

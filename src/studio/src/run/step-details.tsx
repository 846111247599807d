import { Link } from "wouter";

import type { Run } from "../api/client";
import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { Status } from "../ui/status";
import { duration, Moment } from "../ui/time";
import { Approval } from "./approval";
import { useEventData } from "./event-data";
import { record } from "./events";
import { JsonTree } from "./json-tree";
import type { Attempt, StepState } from "./replay";

interface StepDetailsProps {
  run: Run;
  step: StepState;
  /** Shown as of an earlier event: nothing can be answered then. */
  isPast: boolean;
  /** Which attempt; the last one, if none is chosen. */
  attempt: number | undefined;
  onAttempt: (attempt: number) => void;
}

/** What a step was given, what it gave, and what went wrong, attempt by attempt. */
export function StepDetails({ run, step, isPast, attempt: chosen, onAttempt }: StepDetailsProps) {
  const attempt = step.attempts.find(({ number }) => number === chosen) ?? step.attempts.at(-1);
  return (
    <>
      <p className="row" role="status">
        <Status status={step.status} />
        {step.waitsFor === "time" && step.until !== undefined && <span className="note">until <Moment at={step.until} /></span>}
        {step.waitsFor === "person" && <span className="note">for a person{step.until !== undefined && <>, until <Moment at={step.until} /></>}</span>}
        {step.handles.length > 0 && step.handles[0] !== "default" && <span className="note">→ {step.handles.join(", ")}</span>}
      </p>
      {step.childRunId !== undefined && <p><Link href={`/runs/${step.childRunId}`}>Open the run that it started</Link></p>}
      {step.type === "core.approval" && <Approval run={run} step={step} isPast={isPast} />}
      {step.attempts.length > 1 && (
        <label>
          Attempt
          <select value={attempt?.number} onChange={(event) => onAttempt(Number(event.currentTarget.value))}>
            {step.attempts.map((each) => <option key={each.number} value={each.number}>{each.number}: {each.status}{each.error !== undefined && `, ${each.error.slice(0, 60)}`}</option>)}
          </select>
        </label>
      )}
      {attempt === undefined ? <p className="note">It has not begun{step.status === "skipped" && ": no live edge leads here"}.</p> : <AttemptDetails runId={run.id} attempt={attempt} />}
    </>
  );
}

function AttemptDetails({ runId, attempt }: { runId: string; attempt: Attempt }) {
  const started = useEventData(runId, attempt.startedSeq);
  const ended = useEventData(runId, attempt.endedSeq);
  const error = record(ended.data?.error);
  const childRunId = record(ended.data?.output)?.run_id;
  return (
    <>
      <dl className="facts">
        <dt>Attempt</dt><dd>{attempt.number}</dd>
        <dt>Started</dt><dd><Moment at={new Date(attempt.startedAt).toISOString()} /></dd>
        {attempt.endedAt !== undefined && <><dt>Took</dt><dd>{duration(attempt.endedAt - attempt.startedAt)}</dd></>}
      </dl>
      <ProblemNote error={started.error ?? ended.error} />
      {error !== undefined && (
        <section aria-label="Error">
          <h3>Error</h3>
          <div className="problem"><p><code>{String(error.code)}</code> {String(error.message)}</p></div>
          {error.details !== null && error.details !== undefined && <JsonTree value={error.details} what="details" />}
        </section>
      )}
      {attempt.status === "completed" && attempt.endedSeq !== undefined && (
        <section aria-label="Output">
          <h3>Output</h3>
          {typeof childRunId === "string" && <p><Link href={`/runs/${childRunId}`}>Open the run that it names</Link></p>}
          {ended.isPending ? <Loading /> : <JsonTree key={attempt.endedSeq} value={ended.data?.output ?? null} what="output" />}
        </section>
      )}
      {attempt.startedSeq !== undefined && (
        <section aria-label="Input">
          <h3>Input</h3>
          {started.isPending ? <Loading /> : <JsonTree key={attempt.startedSeq} value={started.data?.input ?? null} what="input" />}
        </section>
      )}
    </>
  );
}

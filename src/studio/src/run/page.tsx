import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useDeferredValue, useEffect, useMemo, useState } from "react";
import { Link } from "wouter";

import { answer, type Run, useClient, type Workflow } from "../api/client";
import { definitionOf, stepTypeOf, textOf } from "../graph/definition";
import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { Status } from "../ui/status";
import { duration } from "../ui/time";
import { useTitle } from "../ui/title";
import { Actions } from "./actions";
import { RunCanvas } from "./canvas";
import { Details } from "./details";
import { EventList } from "./event-list";
import { Liveness } from "./liveness";
import { usePlace } from "./place";
import { placeOf } from "./places";
import { ENDED } from "./replay";
import { ReplayBar } from "./replay-bar";
import { Timeline } from "./timeline";
import { useNow } from "./use-now";
import { useWatch } from "./use-watch";
import { WaitingFor } from "./waiting-for";
import "./page.css";

export default function RunPage({ id }: { id: string }) {
  const client = useClient();
  const run = useQuery({ queryKey: ["run", id], queryFn: ({ signal }) => answer(client.GET("/api/v1/runs/{run_id}", { params: { path: { run_id: id } }, signal })) });
  const workflowId = run.data?.workflow_id;
  const workflow = useQuery({
    queryKey: ["workflow", workflowId],
    queryFn: ({ signal }) => answer(client.GET("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: workflowId ?? "" } }, signal })),
    enabled: workflowId !== undefined,
  });
  if (run.data !== undefined) return <Watching run={run.data} workflow={workflow.data} workflowProblem={workflow.error} />;
  return <div className="page">{run.error === null ? <Loading /> : <ProblemNote error={run.error} />}</div>;
}

interface WatchingProps {
  run: Run;
  workflow: Workflow | undefined;
  workflowProblem: unknown;
}

function Watching({ run, workflow, workflowProblem }: WatchingProps) {
  const queries = useQueryClient();
  useTitle(`Run of ${workflow?.name ?? "a workflow"}`);
  const { state: now, journal, known, isLive, lostAt, isOver, problem, goOn } = useWatch(run.id);
  const { step: selected, setStep, seq, setSeq } = usePlace();
  const [attempt, setAttempt] = useState<number>();
  const select = useCallback((stepId: string | undefined, number?: number) => {
    setStep(stepId);
    setAttempt(number);
  }, [setStep]);
  const [tab, setTab] = useState<"timeline" | "events">("timeline");

  const isPast = seq !== undefined && known > 0 && seq < known;
  const state = isPast ? journal.at(seq) : now;
  const calm = useDeferredValue(state); // the canvas comes first
  const status = now.seq === 0 ? run.status : now.status;

  // The output, and a retry from elsewhere, are in the run itself.
  useEffect(() => {
    if (isOver) void queries.invalidateQueries({ queryKey: ["run", run.id] });
  }, [isOver, queries, run.id]);
  useEffect(() => {
    if (isOver && ENDED.has(now.status) && !ENDED.has(run.status)) goOn();
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only what the server says anew counts
  }, [run]);

  const definition = useMemo(() => definitionOf(workflow?.definition), [workflow]);
  const labels = useMemo(() => new Map(definition.nodes.map((node) => [node.id, textOf(node.data.label) ?? `${node.id} (${stepTypeOf(node)})`])), [definition]);
  const labelOf = useCallback((nodeId: string) => labels.get(nodeId) ?? nodeId, [labels]);
  const node = selected === undefined ? undefined : placeOf(selected, state.maps).nodeId;

  return (
    <div className="run-page">
      <header className="run-head">
        <div className="row">
          <h1><Link href={`/workflows/${run.workflow_id}`}>{workflow?.name ?? "Workflow"}</Link> <span className="note">version {run.workflow_version}, run <code>{run.id.slice(-12)}</code></span></h1>
          <Status status={isPast ? state.status : status} />
          <Elapsed startedAt={state.startedAt} endedAt={isPast ? state.at : state.endedAt} isRunning={!isPast && !ENDED.has(status)} />
          {isPast ? <span role="status" className="liveness behind">As of event {seq}</span> : <Liveness isLive={isLive} isOver={isOver} lostAt={lostAt} />}
          {run.parent_run_id != null && <Link href={`/runs/${run.parent_run_id}`}>Parent run</Link>}
        </div>
        <div className="row"><Actions key={`${status === "failed"}`} run={run} status={status} workflow={workflow} onRetried={() => { setSeq(undefined); goOn(); }} /></div>
      </header>
      <ProblemNote error={problem ?? workflowProblem} />
      <WaitingFor state={now} labelOf={labelOf} onSelect={(stepId) => { setSeq(undefined); select(stepId); }} />
      <section className="run-canvas" aria-label="Canvas">
        {workflow === undefined ? <Loading /> : <RunCanvas definition={definition} state={state} selected={node} onSelect={select} />}
      </section>
      <Details run={run} state={calm} isPast={isPast} selected={selected} attempt={attempt} labelOf={labelOf} onSelect={select} />
      <section className="run-times" aria-label="History">
        {known > 0 && <ReplayBar facts={journal.facts} count={known} seq={isPast ? seq : undefined} onSeq={setSeq} isOver={isOver} />}
        <div className="tabs row" role="group" aria-label="Show">
          <button type="button" aria-pressed={tab === "timeline"} onClick={() => setTab("timeline")}>Timeline</button>
          <button type="button" aria-pressed={tab === "events"} onClick={() => setTab("events")}>Events</button>
        </div>
        {(known === 0 || calm.seq === 0) && <Loading />}
        {known > 0 && calm.seq > 0 && (tab === "timeline"
          ? <Timeline state={calm} isPast={isPast} labelOf={labelOf} selected={selected} attempt={attempt} onSelect={select} />
          : <EventList facts={journal.facts} count={known} seq={isPast ? seq : undefined} onSeq={setSeq} />)}
      </section>
    </div>
  );
}

function Elapsed({ startedAt, endedAt, isRunning }: { startedAt: number | undefined; endedAt: number | undefined; isRunning: boolean }) {
  const now = useNow(isRunning);
  if (startedAt === undefined) return null;
  return <span className="note">{duration(Math.max((endedAt ?? now) - startedAt, 0))}</span>;
}

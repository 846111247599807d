import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";

import { answer, type Schedule, useClient, type Workflow } from "../api/client";
import { Confirm } from "../ui/confirm";
import { ProblemNote } from "../ui/problem";
import { Moment } from "../ui/time";
import { Preview } from "./preview";
import { ScheduleForm } from "./schedule-form";
import { schedulesKey } from "./schedules-key";

/** The workflow's schedules. */
export function Schedules({ workflow: { id, status } }: { workflow: Workflow }) {
  const client = useClient();
  const [editing, setEditing] = useState<Schedule | "new">();
  const list = useInfiniteQuery({
    queryKey: schedulesKey(id),
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) =>
      answer(client.GET("/api/v1/triggers/schedules", { signal, params: { query: { workflow_id: id, cursor: pageParam } } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 15_000,
  });
  const schedules = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section aria-labelledby="schedules">
      <div className="page-head">
        <h2 id="schedules">Schedules</h2>
        <button type="button" disabled={status !== "published"} onClick={() => setEditing("new")}>New schedule</button>
      </div>
      {status === "draft" && <p className="note">Publish the workflow first: schedules start published ones.</p>}
      <ProblemNote error={list.error} />
      {list.isSuccess && schedules.length === 0 && status === "published" && <p className="note">It is not started by the clock.</p>}
      <ul className="cards">
        {schedules.map((each) => <ScheduleCard key={each.id} schedule={each} onEdit={() => setEditing(each)} />)}
      </ul>
      {list.hasNextPage && <button type="button" onClick={() => void list.fetchNextPage()}>Show more</button>}
      {editing !== undefined && (
        <ScheduleForm workflowId={id} schedule={editing === "new" ? undefined : editing} taken={schedules.map(({ name }) => name)} onClose={() => setEditing(undefined)} />
      )}
    </section>
  );
}

function ScheduleCard({ schedule, onEdit }: { schedule: Schedule; onEdit: () => void }) {
  const { id, workflow_id, name, cron, timezone, enabled, overlap, catch_up, jitter, next_fire_at, last_fired_at, last_run_id, last_skipped_at } = schedule;
  const client = useClient();
  const queries = useQueryClient();
  const [isDeleting, setIsDeleting] = useState(false);
  const refresh = () => queries.invalidateQueries({ queryKey: schedulesKey(workflow_id) });
  const path = { params: { path: { schedule_id: id } } };
  const turn = useMutation({
    mutationFn: () => answer(client.POST(enabled ? "/api/v1/triggers/schedules/{schedule_id}/pause" : "/api/v1/triggers/schedules/{schedule_id}/resume", path)),
    onSuccess: refresh,
  });
  const remove = useMutation({ mutationFn: () => answer(client.DELETE("/api/v1/triggers/schedules/{schedule_id}", path)), onSuccess: refresh });
  const named = <span className="visually-hidden"> {name}</span>;
  return (
    <li>
      <div className="row">
        <h3>{name}</h3>
        <code>{cron}</code> <span>{timezone}</span>
        <span className={`chip ${enabled ? "good" : ""}`}>{enabled ? "active" : "paused"}</span>
        <span className="grow" />
        <button type="button" onClick={onEdit}>Edit{named}</button>
        <button type="button" disabled={turn.isPending} onClick={() => turn.mutate()}>{enabled ? "Pause" : "Resume"}{named}</button>
        <button type="button" className="danger" onClick={() => setIsDeleting(true)}>Delete{named}</button>
      </div>
      <dl className="facts">
        <div><dt>Next</dt><dd><Moment at={next_fire_at} /></dd></div>
        <div><dt>Last</dt><dd>{last_run_id === null ? <Moment at={last_fired_at} /> : <Link href={`/runs/${last_run_id}`}><Moment at={last_fired_at} /></Link>}</dd></div>
        {last_skipped_at !== null && <div><dt>Last left out</dt><dd><Moment at={last_skipped_at} /></dd></div>}
        <div><dt>Overlap</dt><dd>{overlap}</dd></div>
        <div><dt>Catch up</dt><dd>{catch_up}</dd></div>
        {jitter > 0 && <div><dt>Jitter</dt><dd>{jitter} s</dd></div>}
      </dl>
      <ProblemNote error={turn.error} />
      <Preview key={`${cron} ${timezone}`} scheduleId={id} name={name} cron={cron} timezone={timezone} />
      {isDeleting && (
        <Confirm title={`Delete the schedule ${name}?`} action="Delete" isPending={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()}
          onClose={() => setIsDeleting(false)}>
          <p>It starts no more runs; those that it has started go on.</p>
        </Confirm>
      )}
    </li>
  );
}

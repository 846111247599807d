import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";

import { answer, type Schemas, useClient } from "../api/client";
import { given } from "../api/given";
import { ProblemNote } from "../ui/problem";
import { duration, Moment } from "../ui/time";

type Delivery = Schemas["DeliveryResponse"];
const STATUSES: readonly Delivery["status"][] = ["pending", "delivered", "failed"];
const MARKS: Record<Delivery["status"], string> = { pending: "○", delivered: "✓", failed: "✕" };
const SHOWN = 20, EVERY_MS = 5000;

function deliveriesKey(workflowId: string) {
  return ["deliveries", workflowId];
}

/** What the hook was sent, newest first. */
export function Deliveries({ workflowId, hasHook }: { workflowId: string; hasHook: boolean }) {
  const client = useClient();
  const [status, setStatus] = useState<Delivery["status"]>();
  const list = useInfiniteQuery({
    queryKey: [...deliveriesKey(workflowId), status],
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) =>
      answer(client.GET("/api/v1/workflows/{workflow_id}/deliveries", {
        signal, params: { path: { workflow_id: workflowId }, query: given({ cursor: pageParam, per_page: SHOWN, status }) },
      })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: hasHook ? EVERY_MS : false,
  });
  const deliveries = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <>
      <div className="page-head deliveries-head">
        <h3>Deliveries</h3>
        <label>
          Status{" "}
          <select value={status ?? ""} onChange={(event) => setStatus(STATUSES.find((each) => each === event.currentTarget.value))}>
            <option value="">any</option>
            {STATUSES.map((each) => <option key={each}>{each}</option>)}
          </select>
        </label>
      </div>
      <ProblemNote error={list.error} />
      {list.isSuccess && deliveries.length === 0 && <p className="note">None.</p>}
      <ul className="cards">{deliveries.map((each) => <DeliveryCard key={each.id} workflowId={workflowId} delivery={each} />)}</ul>
      {list.hasNextPage && <button type="button" disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>Show more</button>}
    </>
  );
}

function DeliveryCard({ workflowId, delivery }: { workflowId: string; delivery: Delivery }) {
  const { id, run_id, event, status, attempts, next_attempt_at, created_at } = delivery;
  const client = useClient();
  const queries = useQueryClient();
  const replay = useMutation({
    mutationFn: () =>
      answer(client.POST("/api/v1/workflows/{workflow_id}/deliveries/{delivery_id}/replay", { params: { path: { workflow_id: workflowId, delivery_id: id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: deliveriesKey(workflowId) }),
  });
  const tone = status === "delivered" ? "good" : status === "failed" ? "bad" : "";
  return (
    <li>
      <div className="row">
        <span className={`chip ${tone}`}><span aria-hidden="true">{MARKS[status]}</span> {status}</span>
        <code>{event}</code>
        <Link href={`/runs/${run_id}`}>run<span className="visually-hidden"> {run_id}</span></Link>
        <span className="note"><Moment at={created_at} /></span>
        <span className="grow" />
        <button type="button" disabled={replay.isPending} onClick={() => replay.mutate()}>Send again<span className="visually-hidden">: {event} of run {run_id}</span></button>
      </div>
      <ProblemNote error={replay.error} />
      {next_attempt_at !== null && <p className="note">Next attempt: <Moment at={next_attempt_at} /></p>}
      {attempts.length > 0 && (
        <details>
          <summary>{attempts.length} {attempts.length === 1 ? "attempt" : "attempts"}</summary>
          <ol className="attempts">
            {attempts.map(({ at, milliseconds, status: answered, error }, index) => (
              <li key={index}><Moment at={at} />: {answered ?? "no answer"}{error !== null && ` (${error})`}, after {duration(milliseconds)}</li>
            ))}
          </ol>
        </details>
      )}
    </li>
  );
}

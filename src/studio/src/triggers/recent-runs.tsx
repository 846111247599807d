import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";

import { answer, useClient } from "../api/client";
import { ProblemNote } from "../ui/problem";
import { Status } from "../ui/status";
import { Moment } from "../ui/time";

const SHOWN = 10, EVERY_MS = 5000;

/** The last runs that webhooks started. */
export function RecentRuns({ workflowId }: { workflowId: string }) {
  const client = useClient();
  const { data, error } = useQuery({
    queryKey: ["webhook-runs", workflowId],
    queryFn: ({ signal }) =>
      answer(client.GET("/api/v1/runs", { signal, params: { query: { workflow_id: workflowId, trigger_type: "webhook", cursor: "", per_page: SHOWN } } })),
    refetchInterval: EVERY_MS,
  });
  const runs = data?.items ?? [];
  return (
    <>
      <h3>Runs that it started</h3>
      <ProblemNote error={error} />
      {data !== undefined && runs.length === 0 && <p className="note">None yet.</p>}
      {runs.length > 0 && (
        <ul className="recent">
          {runs.map(({ id, status, created_at }) => (
            <li key={id}>
              <Link href={`/runs/${id}`}><Moment at={created_at} /><span className="visually-hidden">, run {id}</span></Link> <Status status={status} />
            </li>
          ))}
        </ul>
      )}
      {runs.length > 0 && <Link href={`/runs?workflow_id=${workflowId}&trigger_type=webhook`}>All of them</Link>}
    </>
  );
}

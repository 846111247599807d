import { useQuery } from "@tanstack/react-query";

import { answer, useClient } from "../api/client";
import { given } from "../api/given";
import { duration } from "../ui/time";

const EVERY_MS = 5000, LONG_MS = 1000;

/** How much there is to do. */
export function Queue({ workflowId }: { workflowId: string | undefined }) {
  const client = useClient();
  const { data, dataUpdatedAt } = useQuery({
    queryKey: ["queue", workflowId],
    queryFn: ({ signal }) => answer(client.GET("/api/v1/queue", { signal, params: { query: given({ workflow_id: workflowId }) } })),
    refetchInterval: EVERY_MS,
  });
  if (data === undefined) return null;
  const waited = data.oldest_queued_at === null ? 0 : dataUpdatedAt - Date.parse(data.oldest_queued_at);
  return (
    <dl className="queue" aria-label="Queue">
      <div><dt>queued</dt><dd>{data.queued}{waited > LONG_MS && <span className="note"> for {duration(waited)} at most</span>}</dd></div>
      <div><dt>running</dt><dd>{data.running}</dd></div>
      <div><dt>paused</dt><dd>{data.paused}</dd></div>
    </dl>
  );
}

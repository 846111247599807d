import { useQuery } from "@tanstack/react-query";

import { answer, type RunEvent, useClient } from "../api/client";

/** The values that an event carries, from the journal: an event never changes. */
export function useEventData(runId: string, seq: number | undefined) {
  const client = useClient();
  return useQuery({
    queryKey: ["event", runId, seq],
    queryFn: async ({ signal }): Promise<RunEvent["data"]> => {
      const { items } = await answer(client.GET("/api/v1/runs/{run_id}/events", {
        params: { path: { run_id: runId }, query: { after: (seq ?? 1) - 1, limit: 1 } }, signal,
      }));
      return items[0]?.data ?? {};
    },
    enabled: seq !== undefined,
    staleTime: Infinity,
  });
}

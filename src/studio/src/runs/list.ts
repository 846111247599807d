import { useInfiniteQuery } from "@tanstack/react-query";

import { answer, useClient } from "../api/client";
import { given } from "../api/given";
import type { Filters } from "./filters";
import { type Row, rowOf } from "./row";

const PER_PAGE = 100;

interface Page {
  rows: Row[];
  next: string | undefined;
}

/** What the API lists, page after page. Nothing but the feed says when to read it anew. */
export function useRunPages({ workflowId, statuses, trigger, since, until }: Filters) {
  const client = useClient();
  const query = given({ workflow_id: workflowId, status: statuses.length === 0 ? undefined : [...statuses], trigger_type: trigger, since, until });
  return useInfiniteQuery({
    queryKey: ["runs", query],
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }): Promise<Page> => {
      const { items, next_cursor: next } = await answer(
        client.GET("/api/v1/runs", { signal, params: { query: { ...query, cursor: pageParam, per_page: PER_PAGE } } }),
      );
      return { rows: items.map(rowOf), next: next ?? undefined };
    },
    getNextPageParam: ({ next }) => next,
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
}

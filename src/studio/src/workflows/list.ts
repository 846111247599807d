import { useInfiniteQuery } from "@tanstack/react-query";

import { answer, useClient, type Workflow } from "../api/client";
import { given } from "../api/given";

export const STATUSES = ["draft", "published", "archived"] as const;

export interface Wanted {
  name: string;
  status: Workflow["status"] | undefined;
}

export const WORKFLOWS = ["workflows"];

/** The workflows whose name holds `name`, newest first, as far as they were asked for. */
export function useWorkflows({ name, status }: Wanted) {
  const client = useClient();
  return useInfiniteQuery({
    queryKey: [...WORKFLOWS, { name, status }],
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) =>
      answer(client.GET("/api/v1/workflows", { signal, params: { query: given({ cursor: pageParam, name: name === "" ? undefined : name, status }) } })),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (before) => before,
  });
}

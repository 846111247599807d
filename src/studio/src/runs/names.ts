import { useQuery } from "@tanstack/react-query";

import { answer, type Client, useClient, type Workflow } from "../api/client";

const PER_PAGE = 200, PAGES = 10;

export type Names = ReadonlyMap<string, Pick<Workflow, "id" | "name" | "version">>;
const NONE: Names = new Map();

/** The names of the newest workflows, by id: runs say the id only. */
export function useNames(): Names {
  const client = useClient();
  const { data } = useQuery({ queryKey: ["workflows", "names"], queryFn: ({ signal }) => allNames(client, signal), staleTime: 60_000 });
  return data ?? NONE;
}

async function allNames(client: Client, signal: AbortSignal): Promise<Names> {
  const names = new Map<string, Pick<Workflow, "id" | "name" | "version">>();
  let cursor: string | null = "";
  for (let page = 0; page < PAGES && cursor !== null; page++) {
    const { items, next_cursor: next }: { items: Workflow[]; next_cursor?: string | null } = await answer(
      client.GET("/api/v1/workflows", { signal, params: { query: { cursor, per_page: PER_PAGE } } }),
    );
    for (const { id, name, version } of items) names.set(id, { id, name, version });
    cursor = next ?? null;
  }
  return names;
}

/** A workflow's name; asked for by itself where it is not among the newest. */
export function useName(names: Names, id: string): string {
  const client = useClient();
  const known = names.get(id)?.name;
  const { data } = useQuery({
    queryKey: ["workflow-name", id],
    queryFn: async ({ signal }) => (await answer(client.GET("/api/v1/workflows/{workflow_id}", { signal, params: { path: { workflow_id: id } } }))).name,
    enabled: known === undefined && names.size > 0,
    staleTime: Infinity,
  });
  return known ?? data ?? id.slice(0, 8);
}

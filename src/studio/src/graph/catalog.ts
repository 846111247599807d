import { useQuery } from "@tanstack/react-query";

import { answer, type StepType, useClient } from "../api/client";

export type Catalog = ReadonlyMap<string, StepType>;
const NONE: Catalog = new Map();

/** The step types by name; empty until they are there. */
export function useCatalog(): Catalog {
  const client = useClient();
  const { data } = useQuery({
    queryKey: ["catalog"],
    queryFn: async () => new Map((await answer(client.GET("/api/v1/catalog/steps"))).map((each) => [each.type, each])),
    staleTime: Infinity,
  });
  return data ?? NONE;
}

import { useQuery } from "@tanstack/react-query";

import { answer, useClient } from "../api/client";
import { Choice, type Option } from "./choice";

const MOST = 200;
const NONE: Option[] = [];

/** One of the published workflows, by its name. */
export function WorkflowChoice(props: Omit<Parameters<typeof Choice>[0], "options" | "standard">) {
  const client = useClient();
  const { data } = useQuery({
    queryKey: ["workflows", "published"],
    queryFn: async ({ signal }) => {
      const { items } = await answer(client.GET("/api/v1/workflows", { signal, params: { query: { status: "published", cursor: "", per_page: MOST } } }));
      return items.map(({ id, name, version }): Option => ({ value: id, says: `${name}, version ${version}` }));
    },
  });
  return <Choice {...props} options={data ?? NONE} standard={undefined} />;
}

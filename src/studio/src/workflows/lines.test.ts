import { expect, test } from "vitest";

import type { Workflow } from "../api/client";
import { linesOf } from "./lines";

const AT = "2030-01-01T00:00:00Z";

function workflow(id: string, version: number, source_id: string | null): Workflow {
  return {
    id, version, source_id, name: id, description: "", status: "draft", input_schema: null, priority: "normal", concurrency_limit: null,
    created_at: AT, updated_at: AT, published_at: null,
  };
}

test("versions stand together, newest first, in the order of the list", () => {
  const lines = linesOf([workflow("c", 3, "b"), workflow("x", 1, null), workflow("b", 2, "a"), workflow("a", 1, null)]);
  expect(lines.map(({ newest, earlier }) => [newest.id, ...earlier.map(({ id }) => id)])).toEqual([["c", "b", "a"], ["x"]]);
});

test("those whose source is not there belong together still", () => {
  const lines = linesOf([workflow("c", 3, "gone"), workflow("b", 2, "gone")]);
  expect(lines).toHaveLength(1);
});

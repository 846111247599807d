import type { Workflow } from "../api/client";
import { definitionOf } from "../graph/definition";

export interface Difference {
  what: string;
  how: "only mine" | "only theirs" | "changed";
}

type Version = Pick<Workflow, "name" | "description" | "input_schema" | "priority" | "concurrency_limit"> & { definition?: unknown };

const IGNORED = new Set(["selected", "dragging", "measured"]);

/** What two versions of a workflow differ in: by node, by connection, by setting. */
export function differences(mine: Version, theirs: Version): Difference[] {
  const own = definitionOf(mine.definition), other = definitionOf(theirs.definition);
  const settings = (["name", "description", "input_schema", "priority", "concurrency_limit"] as const).flatMap((name): Difference[] =>
    same(mine[name], theirs[name]) ? [] : [{ what: name.replace("_", " "), how: "changed" }]);
  return [...settings, ...byId("Step", own.nodes, other.nodes), ...byId("Connection", own.edges, other.edges)];
}

function byId(kind: string, mine: readonly { id: string }[], theirs: readonly { id: string }[]): Difference[] {
  const own = new Map(mine.map((each) => [each.id, each])), others = new Map(theirs.map((each) => [each.id, each]));
  return [...new Set([...own.keys(), ...others.keys()])].flatMap((id): Difference[] => {
    const what = `${kind} ${id}`;
    if (!others.has(id)) return [{ what, how: "only mine" }];
    if (!own.has(id)) return [{ what, how: "only theirs" }];
    return same(own.get(id), others.get(id)) ? [] : [{ what, how: "changed" }];
  });
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one, plain) === JSON.stringify(other, plain);
}

/** Keys in one order, without what is only about how it looks just now. */
function plain(key: string, value: unknown): unknown {
  if (IGNORED.has(key)) return undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

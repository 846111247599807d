import type { Workflow } from "../api/client";
import { groupBy } from "../ui/group";

/** Versions of one workflow, newest first. */
export interface Line {
  newest: Workflow;
  earlier: Workflow[];
}

/**
 * The versions of each workflow together, where its newest one stands in the list.
 * A version was made from its `source_id`; where that is not loaded, or was deleted, those made from it still belong together.
 */
export function linesOf(workflows: readonly Workflow[]): Line[] {
  const known = new Map(workflows.map((each) => [each.id, each]));
  const lines = groupBy(workflows, (each) => originOf(each, known));
  return [...lines.values()].flatMap((versions) => {
    const [newest, ...earlier] = versions.toSorted((one, other) => other.version - one.version);
    return newest === undefined ? [] : [{ newest, earlier }];
  });
}

function originOf(workflow: Workflow, known: ReadonlyMap<string, Workflow>): string {
  let origin = workflow;
  for (;;) {
    if (origin.source_id === null) return origin.id;
    const source = known.get(origin.source_id);
    if (source === undefined) return origin.source_id;
    origin = source;
  }
}

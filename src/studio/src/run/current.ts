import type { RunState } from "./replay";

/** Where a run is: the node whose step began last, of those that go on; else of all. */
export function currentNode(state: RunState): string | undefined {
  let best: { nodeId: string; rank: number } | undefined;
  for (const { nodeId, status, attempts } of state.steps.values()) {
    const begun = attempts.at(-1)?.startedAt;
    if (begun === undefined) continue;
    const rank = begun + (status === "running" || status === "waiting" ? Number.MAX_SAFE_INTEGER / 2 : 0);
    if (best === undefined || rank >= best.rank) best = { nodeId, rank };
  }
  return best?.nodeId;
}

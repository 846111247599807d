import type { ReactFlowInstance } from "@xyflow/react";

import type { FlowNode } from "../graph/definition";
import type { RunState } from "./replay";

const READABLE = 0.65, MOVES_MS = 250, MARGIN = 40;

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

/** Bring a node to where it can be read and nothing hides it, unless it is there already. */
export function bringIntoView(flow: ReactFlowInstance<FlowNode>, canvas: HTMLElement, nodeId: string, isAlways = false): void {
  const node = flow.getInternalNode(nodeId);
  if (node === undefined) return;
  const { x, y } = node.internals.positionAbsolute;
  const width = node.measured.width ?? 200, height = node.measured.height ?? 80;
  const box = canvas.getBoundingClientRect();
  const sheet = document.querySelector(".is-sheet")?.getBoundingClientRect();
  const isCovered = sheet !== undefined && sheet.left < box.left + box.width / 2;
  const bottom = isCovered ? Math.max(Math.min(box.bottom, sheet.top), box.top + MARGIN) : box.bottom;
  const from = flow.flowToScreenPosition({ x, y }), to = flow.flowToScreenPosition({ x: x + width, y: y + height });
  if (!isAlways && from.x >= box.left && from.y >= box.top && to.x <= box.right && to.y <= bottom) return;
  const zoom = Math.max(flow.getZoom(), READABLE);
  const hidden = (box.bottom - bottom) / 2 / zoom;
  void flow.setCenter(x + width / 2, y + height / 2 + hidden, { zoom, duration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : MOVES_MS });
}

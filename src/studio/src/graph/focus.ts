import type { ReactFlowInstance } from "@xyflow/react";

import type { FlowNode } from "./definition";

const READABLE = 0.65, MOVES_MS = 250, MARGIN = 40;

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

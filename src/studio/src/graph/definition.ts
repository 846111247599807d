import type { Edge, Node } from "@xyflow/react";

import type { StepType } from "../api/client";
import { groupBy } from "../ui/group";
import { isObject } from "../ui/json";

/** What a workflow's `definition` is: React Flow's `toObject()`. Keys that the studio does not know stay as they are. */
export interface StepData extends Record<string, unknown> {
  label?: string;
  step_type?: string;
  config?: Record<string, unknown>;
  text?: string;
}
export type FlowNode = Node<StepData>;
export interface Definition {
  nodes: FlowNode[];
  edges: Edge[];
  viewport?: { x: number; y: number; zoom: number };
}

export const DECORATIONS = ["group", "note", "annotation"];
export const DEFAULT_HANDLE = "default", ERROR_HANDLE = "error";

const COLUMN = 260, ROW = 130;

/**
 * A definition as the API gives it, such that React Flow can draw it. Anybody may have written it: nodes without a place get one, and
 * ids that occur twice are told apart. What can be drawn is as it was.
 */
export function definitionOf(raw: unknown): Definition {
  const { nodes: rawNodes, edges: rawEdges, ...rest } = isObject(raw) ? raw : {};
  const edges = unique(objects(rawEdges).filter(isEdge).map((edge) => (typeof edge.id === "string" ? edge : { ...edge, id: `${edge.source}-${edge.target}` })));
  const named = objects(rawNodes).filter((node): node is Record<string, unknown> & { id: string } => typeof node.id === "string");
  const ids = new Set(named.map(({ id }) => id));
  const nodes = named.map((node) => whole(node, ids));
  return { ...rest, nodes: ordered(placed(nodes, edges)), edges };
}

/** An edge as it is drawn: other editors name the handles that edges end at as they like, and none of those matters. */
export function drawnEdge(edge: Edge): Edge {
  return edge.targetHandle == null || edge.targetHandle === DEFAULT_HANDLE ? edge : { ...edge, targetHandle: null };
}

function objects(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function isEdge(edge: Record<string, unknown>): edge is Record<string, unknown> & Edge {
  return typeof edge.source === "string" && typeof edge.target === "string";
}

function unique(edges: Edge[]): Edge[] {
  const seen = new Set<string>();
  return edges.map((edge) => {
    let { id } = edge;
    while (seen.has(id)) id += "'";
    seen.add(id);
    return id === edge.id ? edge : { ...edge, id };
  });
}

/** A node with all that React Flow needs, but for a place. */
function whole(node: Record<string, unknown> & { id: string }, ids: ReadonlySet<string>): FlowNode {
  const fixed = { ...node, ...(isObject(node.data) ? {} : { data: {} }) };
  if ("parentId" in fixed && (typeof fixed.parentId !== "string" || !ids.has(fixed.parentId) || fixed.parentId === node.id)) delete fixed.parentId;
  return fixed as unknown as FlowNode;
}

/** Nodes that have no place, or all the same one, stand where they are in the order of the steps. */
function placed(nodes: FlowNode[], edges: readonly Edge[]): FlowNode[] {
  const places = new Set(nodes.map(({ position }) => (isPlace(position) ? `${position.x} ${position.y}` : "")));
  const isPiled = nodes.length > 1 && places.size === 1;
  if (!isPiled && !places.has("")) return nodes;
  const ranks = ranksOf(nodes, edges), filled = new Map<string, number>();
  return nodes.map((node) => {
    if (!isPiled && isPlace(node.position)) return node;
    const rank = ranks.get(node.id) ?? 0, column = `${node.parentId ?? ""} ${rank}`;
    const row = filled.get(column) ?? 0;
    filled.set(column, row + 1);
    const isInner = node.parentId !== undefined;
    return { ...node, position: { x: rank * COLUMN + (isInner ? 24 : 0), y: row * ROW + (isInner ? 64 : 0) } };
  });
}

function isPlace(position: unknown): position is { x: number; y: number } {
  return isObject(position) && Number.isFinite(position.x) && Number.isFinite(position.y);
}

/** How many steps lead to each at most; in a circle, some number. */
function ranksOf(nodes: readonly FlowNode[], edges: readonly Edge[]): Map<string, number> {
  const ranks = new Map(nodes.map(({ id }) => [id, 0]));
  for (let round = 0, hasChanged = true; hasChanged && round < nodes.length; round += 1) {
    hasChanged = false;
    for (const { source, target } of edges) {
      const rank = (ranks.get(source) ?? -1) + 1;
      if (!ranks.has(target) || rank <= (ranks.get(target) ?? 0) || rank >= nodes.length) continue;
      ranks.set(target, rank);
      hasChanged = true;
    }
  }
  return ranks;
}

/** A container before what is in it, as React Flow wants them; otherwise as they were. */
export function ordered(nodes: FlowNode[]): FlowNode[] {
  const seen = new Set<string>();
  if (nodes.every(({ id, parentId }) => (parentId === undefined || seen.has(parentId)) && seen.add(id))) return nodes;
  const inner = groupBy(nodes, ({ parentId }) => parentId ?? "");
  const follow = (node: FlowNode): FlowNode[] => [node, ...(inner.get(node.id) ?? []).flatMap(follow)];
  return (inner.get("") ?? []).flatMap(follow);
}

/** A node's step type: `data.step_type`, else its own type. */
export function stepTypeOf(node: { type?: string | undefined; data: StepData }): string {
  return node.data.step_type ?? node.type ?? "";
}

/** Groups and notes are layout, never steps. */
export function isDecoration(node: { type?: string | undefined; data: StepData }): boolean {
  return !node.data.step_type && DECORATIONS.includes(node.type ?? "");
}

/** The handles that a node has: those of its step type, a switch's cases, and `error` for what can fail. */
export function outputsOf(type: StepType | undefined, data: StepData): string[] {
  if (type === undefined) return [DEFAULT_HANDLE];
  const own = type.type === "core.switch" ? casesOf(data) : type.handles.outputs;
  return type.kind === "trigger" || own.length === 0 ? own : [...new Set([...own, ERROR_HANDLE])];
}

export function inputsOf(type: StepType | undefined): string[] {
  return type?.handles.inputs ?? [DEFAULT_HANDLE];
}

function casesOf({ config }: StepData): string[] {
  const cases = Array.isArray(config?.cases) ? (config.cases as unknown[]) : [];
  const names = cases.map((each) => (each as { handle?: unknown } | null)?.handle);
  return [...names.filter((name): name is string => typeof name === "string" && name !== ""), DEFAULT_HANDLE];
}

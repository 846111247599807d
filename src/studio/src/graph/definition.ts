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

const DECORATIONS = ["group", "note", "annotation"];
export const DEFAULT_HANDLE = "default", ERROR_HANDLE = "error";

const COLUMN = 260, ROW = 130;

/** Anything with an id, before and after it was mended: by key, what is drawn instead of what was there. */
type Mend = Record<string, { drawn: unknown; was: unknown }>;

/** What was changed of a definition so that it can be drawn: what of that nobody has touched since is saved as it was. */
export interface Mends {
  nodes: ReadonlyMap<string, Mend>;
  edges: ReadonlyMap<string, Mend>;
  /** Where each node stood, if they are in another order now. */
  order: ReadonlyMap<string, number> | undefined;
}

export interface Drawn {
  nodes: FlowNode[];
  edges: Edge[];
  /** What a definition holds beside nodes and edges. */
  rest: Record<string, unknown>;
  mends: Mends;
}

/** A definition such that React Flow can draw it. */
export function definitionOf(raw: unknown): Definition {
  const { nodes, edges, rest } = drawn(raw);
  return { ...rest, nodes, edges };
}

/**
 * A definition as the API gives it, such that React Flow can draw it. Anybody may have written it: nodes without a place get one, ids
 * that occur twice are told apart, what lies in itself lies in nothing. What can be drawn is as it was.
 */
export function drawn(raw: unknown): Drawn {
  const { nodes: rawNodes, edges: rawEdges, ...rest } = isObject(raw) ? raw : {};
  const mends = { nodes: new Map<string, Mend>(), edges: new Map<string, Mend>() };
  const edgeIds = new Set<string>(), nodeIds = new Set<string>();
  const edges = objects(rawEdges).filter(isEdge).map((edge) =>
    mended(edge, { id: free(typeof edge.id === "string" ? edge.id : `${edge.source}-${edge.target}`, edgeIds), ...shownOnly(edge) }, mends.edges) as unknown as Edge);
  const named = objects(rawNodes).filter((node): node is Record<string, unknown> & { id: string } => typeof node.id === "string");
  const parents = parentsOf(named);
  const whole = named.map((node) => mended(node, {
    id: free(node.id, nodeIds), data: isObject(node.data) ? node.data : {}, parentId: parents.get(node.id), ...shownOnly(node),
  }, mends.nodes) as unknown as FlowNode);
  const nodes = ordered(placed(whole, edges));
  const isAsItWas = nodes.every(({ id }, index) => id === whole[index]?.id);
  return { nodes, edges, rest, mends: { ...mends, order: isAsItWas ? undefined : new Map(whole.map(({ id }, index) => [id, index])) } };
}

/** What was drawn as it is saved. */
export function restored(nodes: readonly FlowNode[], edges: readonly Edge[], { nodes: ofNodes, edges: ofEdges, order }: Mends): { nodes: FlowNode[]; edges: Edge[] } {
  const idOf = (id: string) => (ofNodes.get(id)?.id?.was as string | undefined) ?? id;
  const back = nodes.map((node) => {
    const was = unmended(node, ofNodes.get(node.id));
    return was.parentId === undefined || was.parentId !== node.parentId || idOf(node.parentId) === node.parentId ? was : { ...was, parentId: idOf(node.parentId) };
  });
  const places = order === undefined ? back : nodes
    .map(({ id }, index) => ({ node: back[index], at: order.get(id) ?? order.size }))
    .sort((one, other) => one.at - other.at).flatMap(({ node }) => node ?? []);
  return {
    nodes: places,
    edges: edges.map((edge) => {
      const [source, target] = [idOf(edge.source), idOf(edge.target)];
      return unmended(source === edge.source && target === edge.target ? edge : { ...edge, source, target }, ofEdges.get(edge.id));
    }),
  };
}

/** A thing with other values at some keys, and a note of what was there. */
function mended(raw: Record<string, unknown>, values: Record<string, unknown> & { id: string }, mends: Map<string, Mend>): Record<string, unknown> {
  const changed = Object.entries(values).filter(([key, value]) => raw[key] !== value);
  if (changed.length === 0) return raw;
  mends.set(values.id, Object.fromEntries(changed.map(([key, value]) => [key, { drawn: value, was: raw[key] }])));
  return Object.fromEntries(Object.entries({ ...raw, ...values }).filter(([, value]) => value !== undefined));
}

function unmended<Thing extends object>(thing: Thing, mend: Mend | undefined): Thing {
  if (mend === undefined) return thing;
  const back = { ...thing } as Record<string, unknown>;
  for (const [key, { drawn: now, was }] of Object.entries(mend)) if (JSON.stringify(back[key]) === JSON.stringify(now)) back[key] = was;
  return Object.fromEntries(Object.entries(back).filter(([, value]) => value !== undefined)) as Thing;
}

const FURTHEST = 1e7;
const isNumber = (value: unknown) => typeof value === "number" && Math.abs(value) < FURTHEST;
const isPair = (value: unknown, isPart: (part: unknown) => boolean) => Array.isArray(value) && value.length === 2 && value.every(isPart);

/** What React and React Flow can draw with, and take everybody's word for. */
const DRAWABLE: Record<string, (value: unknown) => boolean> = {
  type: (value) => typeof value === "string" && !(value in Object.prototype),
  label: (value) => typeof value !== "object",
  style: isObject,
  width: isNumber, height: isNumber, initialWidth: isNumber, initialHeight: isNumber, zIndex: isNumber,
  origin: (value) => isPair(value, isNumber),
  extent: (value) => value === "parent" || isPair(value, (corner) => isPair(corner, isNumber)),
  handles: Array.isArray,
};

/** Without what cannot be drawn. */
function shownOnly(thing: Record<string, unknown>): Record<string, unknown> {
  const wrong = Object.entries(DRAWABLE).filter(([key, isDrawable]) => thing[key] !== undefined && !isDrawable(thing[key]));
  return Object.fromEntries(wrong.map(([key]) => [key, undefined]));
}

function free(wanted: string, taken: Set<string>): string {
  let id = wanted;
  while (taken.has(id)) id += "'";
  taken.add(id);
  return id;
}

/** The container of each node that lies in one; none where that is not there, or lies in the node itself. */
function parentsOf(nodes: readonly (Record<string, unknown> & { id: string })[]): Map<string, string> {
  const ids = new Set(nodes.map(({ id }) => id));
  const parents = new Map(nodes.flatMap(({ id, parentId }) => (typeof parentId === "string" && ids.has(parentId) ? [[id, parentId] as const] : [])));
  for (const { id } of nodes) {
    const above = new Set<string>();
    for (let at = parents.get(id); at !== undefined && !above.has(at); at = parents.get(at)) above.add(at);
    if (above.has(id)) parents.delete(id);
  }
  return parents;
}

/** An edge as it is drawn: other editors name the handles that edges end at as they like, and none of those matters. */
export function drawnEdge(edge: Edge): Edge {
  return edge.targetHandle == null || edge.targetHandle === DEFAULT_HANDLE ? edge : { ...edge, targetHandle: null };
}

/** A text that a node carries, whatever else editors put there. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : typeof value === "number" || typeof value === "bigint" ? String(value) : undefined;
}

function objects(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function isEdge(edge: Record<string, unknown>): edge is Record<string, unknown> & Edge {
  return typeof edge.source === "string" && typeof edge.target === "string";
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
  const { step_type: named } = node.data;
  return typeof named === "string" && named !== "" ? named : (node.type ?? "");
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

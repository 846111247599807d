import type { Edge, XYPosition } from "@xyflow/react";

import type { StepType } from "../api/client";
import type { Catalog } from "../graph/catalog";
import { DEFAULT_HANDLE, ERROR_HANDLE, type FlowNode, inputsOf, ordered, outputsOf, type StepData, stepTypeOf } from "../graph/definition";
import { groupBy } from "../ui/group";
import { member } from "./member";
import type { Content } from "./store";

/** Pure changes of what is drawn; each gives what has changed. */
type Change = Partial<Content>;
type Drawing = Pick<Content, "nodes" | "edges">;

export const CONTAINER = "core.map";
const GAP = 70, WIDTH = 200, HEIGHT = 70;
const INSIDE = { x: 24, y: 64 }, OUTPUTS = 72;

/** An id that nothing has yet: `http-request`, `http-request-2`. */
export function freeId(wanted: string, taken: ReadonlySet<string>): string {
  const base = wanted.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "step";
  for (let number = 1; ; number += 1) {
    const id = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(id)) return id;
  }
}

/** Expressions name steps as `steps.order_total`: an underscore reads better there than a dash. */
function stepId(type: StepType, nodes: readonly FlowNode[]): string {
  const name = type.type.split(".").at(-1) ?? type.type;
  return freeId(name, new Set(nodes.map(({ id }) => id))).replaceAll("-", "_");
}

/** Add a step: where it was dropped, or behind the selected one and connected to it, or inside of a selected container. */
export function addStep({ nodes, edges }: Drawing, type: StepType, catalog: Catalog, at?: XYPosition): Change {
  const chosen = nodes.filter(({ selected }) => selected);
  const source = at === undefined && chosen.length === 1 ? chosen[0] : undefined;
  const data: StepData = { label: type.title, config: {} };
  const node: FlowNode = { id: stepId(type, nodes), type: type.type, position: at ?? { x: 0, y: 0 }, data, selected: true };
  const others = nodes.map((each) => (each.selected ? { ...each, selected: false } : each));
  if (source === undefined) {
    if (at === undefined) node.position = below(nodes);
    return { nodes: [...others, withSize(node)], edges };
  }
  if (stepTypeOf(source) === CONTAINER) {
    const inside = nodes.filter(({ parentId }) => parentId === source.id);
    const right = Math.max(0, ...inside.map((each) => each.position.x + widthOf(each) + GAP));
    Object.assign(node, { parentId: source.id, position: { x: Math.max(INSIDE.x, right), y: INSIDE.y } });
    return { nodes: fitted([...others, withSize(node)], source.id), edges };
  }
  if (source.parentId !== undefined) node.parentId = source.parentId;
  node.position = { x: source.position.x + widthOf(source) + GAP, y: source.position.y };
  while (nodes.some((each) => each.parentId === node.parentId && overlaps(each, node.position))) node.position.y += HEIGHT + 30;
  const handle = wayOut(source, edges, catalog);
  const isFed = inputsOf(type).length > 0 && handle !== undefined;
  const placed = [...others, withSize(node)];
  return {
    nodes: node.parentId === undefined ? placed : fitted(placed, node.parentId),
    edges: isFed ? [...edges, edgeOf(source.id, handle, node.id, edges)] : edges,
  };
}

/** Where a step goes on: at its default handle; of several ways, at the first that leads nowhere yet. */
function wayOut(source: FlowNode, edges: readonly Edge[], catalog: Catalog): string | undefined {
  const ways = outputsOf(catalog.get(stepTypeOf(source)), source.data).filter((each) => each !== ERROR_HANDLE);
  if (ways[0] === DEFAULT_HANDLE) return DEFAULT_HANDLE;
  return ways.find((way) => !edges.some((edge) => edge.source === source.id && (edge.sourceHandle ?? DEFAULT_HANDLE) === way)) ?? ways[0];
}

export function edgeOf(source: string, sourceHandle: string | null | undefined, target: string, edges: readonly Edge[]): Edge {
  const handle = sourceHandle === DEFAULT_HANDLE ? undefined : (sourceHandle ?? undefined);
  const id = freeId(handle === undefined ? `${source}-${target}` : `${source}-${handle}-${target}`, new Set(edges.map((each) => each.id)));
  return { id, source, target, ...(handle === undefined ? {} : { sourceHandle: handle }) };
}

/** Nodes without the selected ones, what is inside of those, and the edges of all that; nothing where nothing is selected. */
export function removeSelected({ nodes, edges }: Drawing): Change {
  if (![...nodes, ...edges].some(({ selected }) => selected)) return {};
  const gone = withInner(nodes, nodes.filter(({ selected }) => selected).map(({ id }) => id));
  return {
    nodes: nodes.filter(({ id }) => !gone.has(id)),
    edges: edges.filter((each) => !each.selected && !gone.has(each.source) && !gone.has(each.target)),
  };
}

/** What is selected, with what is inside of it and the edges between. */
export function selection({ nodes, edges }: Drawing): Drawing {
  const chosen = withInner(nodes, nodes.filter(({ selected }) => selected).map(({ id }) => id));
  return {
    nodes: nodes.filter(({ id }) => chosen.has(id)),
    edges: edges.filter(({ source, target }) => chosen.has(source) && chosen.has(target)),
  };
}

/** Put copies in, a little aside, with ids of their own that expressions among them follow. */
export function insert({ nodes, edges }: Drawing, copied: Drawing): Change {
  if (copied.nodes.length === 0) return {};
  const taken = new Set(nodes.map(({ id }) => id));
  const names = new Map<string, string>();
  for (const { id } of copied.nodes) {
    const name = freeId(id, taken).replace(/-(\d+)$/, "_$1");
    const free = taken.has(name) ? freeId(`${id}-copy`, taken) : name;
    taken.add(free);
    names.set(id, free);
  }
  const known = new Set(nodes.map(({ id }) => id));
  const added = copied.nodes.map((node): FlowNode => {
    const parent = node.parentId === undefined ? undefined : (names.get(node.parentId) ?? (known.has(node.parentId) ? node.parentId : undefined));
    const { parentId: _parent, ...rest } = node;
    const isInner = node.parentId !== undefined && names.has(node.parentId);
    const position = isInner ? node.position : { x: node.position.x + 40, y: node.position.y + 40 };
    return {
      ...rest, id: names.get(node.id) ?? node.id, position, selected: true, data: renamed(node.data, names) as StepData,
      ...(parent === undefined ? {} : { parentId: parent }),
    };
  });
  const connected = edges.slice();
  for (const edge of copied.edges) {
    const source = names.get(edge.source), target = names.get(edge.target);
    if (source === undefined || target === undefined) continue;
    connected.push({ ...edge, ...edgeOf(source, edge.sourceHandle, target, connected), selected: false });
  }
  return { nodes: [...nodes.map((each) => (each.selected ? { ...each, selected: false } : each)), ...added], edges: connected };
}

/** Give a step another id, in its edges, in what is inside of it and in all expressions. */
export function rename({ nodes, edges }: Drawing, from: string, to: string): Change {
  const names = new Map([[from, to]]);
  return {
    nodes: nodes.map((node) => ({
      ...node,
      ...(node.id === from ? { id: to } : {}),
      ...(node.parentId === from ? { parentId: to } : {}),
      data: renamed(node.data, names) as StepData,
    })),
    edges: edges.map((edge) => ({
      ...edge, source: edge.source === from ? to : edge.source, target: edge.target === from ? to : edge.target,
    })),
  };
}

/** `steps.a.output` and `steps["a"].output` in every string, with the new names. */
function renamed(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (typeof value === "string") {
    return value.includes("steps") ? value.replace(/\bsteps(?:\.([A-Za-z_]\w*)|\[\s*(["'])(.+?)\2\s*\])/g, (whole, plain?: string, _quote?: string, quoted?: string) => {
      const name = names.get(plain ?? quoted ?? "");
      if (name === undefined) return whole;
      return `steps${member(name)}`;
    }) : value;
  }
  if (Array.isArray(value)) return value.map((each) => renamed(each, names));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, renamed(each, names)]));
}

/** Whether a connection can be: between two steps of the same container, out of a handle that there is, and not there yet. */
export function canConnect(
  { nodes, edges }: Drawing, catalog: ReadonlyMap<string, StepType>,
  { source, target, sourceHandle }: { source: string; target: string; sourceHandle?: string | null | undefined },
): boolean {
  const from = nodes.find(({ id }) => id === source), to = nodes.find(({ id }) => id === target);
  if (from === undefined || to === undefined || source === target || (from.parentId ?? "") !== (to.parentId ?? "")) return false;
  const handle = sourceHandle ?? DEFAULT_HANDLE;
  if (!outputsOf(catalog.get(stepTypeOf(from)), from.data).includes(handle) || inputsOf(catalog.get(stepTypeOf(to))).length === 0) return false;
  const isThere = edges.some((each) => each.source === source && each.target === target && (each.sourceHandle ?? DEFAULT_HANDLE) === handle);
  return !isThere && !leadsTo(edges, target, source);
}

/** The ids of the edges that begin at handles that their steps do not have. */
export function looseEdges({ nodes, edges }: Drawing, catalog: Catalog): string[] {
  const handled = edges.filter(({ sourceHandle }) => (sourceHandle ?? DEFAULT_HANDLE) !== DEFAULT_HANDLE);
  if (handled.length === 0) return [];
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return handled.flatMap(({ id, source, sourceHandle }) => {
    const node = byId.get(source);
    return node === undefined || outputsOf(catalog.get(stepTypeOf(node)), node.data).includes(sourceHandle ?? DEFAULT_HANDLE) ? [] : [id];
  });
}

/** Whether a path leads from one node to another: a connection back would be a cycle. */
function leadsTo(edges: readonly Edge[], from: string, to: string): boolean {
  const seen = new Set([from]), next = [from];
  for (let id = next.pop(); id !== undefined; id = next.pop()) {
    if (id === to) return true;
    for (const { source, target } of edges) {
      if (source !== id || seen.has(target)) continue;
      seen.add(target);
      next.push(target);
    }
  }
  return false;
}

/** The steps that a step's expressions may read: those that a path leads from, and what is around its container. */
export function upstream({ nodes, edges }: Drawing, id: string): Set<string> {
  const found = new Set<string>(), byTarget = groupBy(edges, ({ target }) => target);
  const next = [id];
  for (let current = next.pop(); current !== undefined; current = next.pop()) {
    const node = nodes.find((each) => each.id === current);
    if (node?.parentId !== undefined && !found.has(node.parentId)) next.push(node.parentId);
    for (const { source } of byTarget.get(current) ?? []) {
      if (found.has(source)) continue;
      found.add(source);
      next.push(source);
    }
  }
  return found;
}

/** Move a node into a container, or out of all. */
export function moveInto({ nodes }: Drawing, id: string, parentId: string | undefined): Change {
  const node = nodes.find((each) => each.id === id);
  if (node === undefined || node.parentId === parentId || (parentId !== undefined && withInner(nodes, [id]).has(parentId))) return {};
  const from = originOf(nodes, node.parentId), to = originOf(nodes, parentId);
  const { parentId: _parent, ...rest } = node;
  const least = parentId === undefined ? { x: -Infinity, y: -Infinity } : INSIDE;
  const position = { x: Math.max(least.x, node.position.x + from.x - to.x), y: Math.max(least.y, node.position.y + from.y - to.y) };
  const moved: FlowNode = { ...rest, position, ...(parentId === undefined ? {} : { parentId }) };
  const others = nodes.filter((each) => each.id !== id);
  const at = parentId === undefined ? -1 : others.findIndex((each) => each.id === parentId);
  const placed = parentId === undefined ? [...others, moved] : [...others.slice(0, at + 1), moved, ...others.slice(at + 1)];
  return { nodes: parentId === undefined ? ordered(placed) : fitted(ordered(placed), parentId) };
}

function originOf(nodes: readonly FlowNode[], id: string | undefined): XYPosition {
  const node = nodes.find((each) => each.id === id);
  if (node === undefined) return { x: 0, y: 0 };
  const outer = originOf(nodes, node.parentId);
  return { x: outer.x + node.position.x, y: outer.y + node.position.y };
}

/** A container as large as what is in it. */
export function fitted(nodes: FlowNode[], id: string): FlowNode[] {
  const inside = nodes.filter(({ parentId }) => parentId === id);
  const width = Math.max(280, ...inside.map((each) => each.position.x + widthOf(each) + OUTPUTS));
  const height = Math.max(150, ...inside.map((each) => each.position.y + heightOf(each) + 24));
  return nodes.map((each) => (each.id === id ? { ...each, width: Math.max(width, each.width ?? 0), height: Math.max(height, each.height ?? 0) } : each));
}

function withSize(node: FlowNode): FlowNode {
  return stepTypeOf(node) === CONTAINER ? { ...node, width: 320, height: 170 } : node;
}

function withInner(nodes: readonly FlowNode[], ids: Iterable<string>): Set<string> {
  const found = new Set(ids);
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const { id, parentId } of nodes) if (parentId !== undefined && found.has(parentId)) found.add(id);
  }
  return found;
}

function below(nodes: readonly FlowNode[]): XYPosition {
  const outer = nodes.filter(({ parentId }) => parentId === undefined);
  if (outer.length === 0) return { x: 0, y: 0 };
  return { x: Math.min(...outer.map(({ position }) => position.x)), y: Math.max(...outer.map((each) => each.position.y + heightOf(each))) + 50 };
}

function overlaps(node: FlowNode, { x, y }: XYPosition): boolean {
  return Math.abs(node.position.x - x) < WIDTH && Math.abs(node.position.y - y) < HEIGHT;
}

export const widthOf = ({ width, measured }: FlowNode): number => width ?? measured?.width ?? WIDTH;
export const heightOf = ({ height, measured }: FlowNode): number => height ?? measured?.height ?? HEIGHT;

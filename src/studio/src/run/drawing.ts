import type { Edge } from "@xyflow/react";

import { DEFAULT_HANDLE, type Definition, type FlowNode, isDecoration } from "../graph/definition";
import type { Mark } from "../graph/marks";
import type { MapSummary, StepStatus } from "../../../stepwire/clients/run-stream";
import { type RunState, SETTLED, type StepState, type Tally } from "./replay";

/** The nodes to draw of a frozen definition: parents before their children, as React Flow wants them, and none that is selected. */
export function nodesOf({ nodes }: Definition): FlowNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const depth = (node: FlowNode, seen = 0): number => {
    const parent = byId.get(node.parentId ?? "");
    return parent === undefined || seen > nodes.length ? 0 : 1 + depth(parent, seen + 1);
  };
  return nodes
    .map((node) => ({ ...node, ...roomFor(node, nodes), selected: false, focusable: !isDecoration(node), selectable: !isDecoration(node) }))
    .sort((a, b) => depth(a) - depth(b));
}

const CHILD_WIDTH = 250, CHILD_HEIGHT = 120;

/** The size of a container that was drawn without one, by a program say: so large that its children are in it. */
function roomFor({ id, width, height, style }: FlowNode, nodes: readonly FlowNode[]): Partial<FlowNode> {
  const children = nodes.filter(({ parentId }) => parentId === id);
  if (children.length === 0 || width !== undefined || height !== undefined || style?.width !== undefined) return {};
  const right = Math.max(...children.map(({ position }) => position.x)), bottom = Math.max(...children.map(({ position }) => position.y));
  return { style: { ...style, width: right + CHILD_WIDTH, height: bottom + CHILD_HEIGHT } };
}

/** Whether an edge is the way that the run took: its source chose the handle that it starts at. */
export function isLive(state: RunState, { source, sourceHandle }: Edge): boolean {
  const handle = (sourceHandle ?? "") || DEFAULT_HANDLE;
  const step = state.steps.get(source);
  const handles = state.tallies.get(source)?.handles ?? step?.handles ?? [];
  return handles.includes(handle);
}

/** An edge is live, or was passed by because its source went another way, or is not decided. */
function edgeClass(state: RunState, edge: Edge): string {
  if (isLive(state, edge)) return "live";
  const status = state.steps.get(edge.source)?.status;
  return status !== undefined && SETTLED.has(status) ? "passed" : "";
}

/** The edges as of a state: the very ones that there were, where nothing about them has changed. */
export function edgesAt(state: RunState, before: Edge[]): Edge[] {
  const edges = before.map((edge) => {
    const className = edgeClass(state, edge);
    return className === (edge.className ?? "") ? edge : { ...edge, className };
  });
  return edges.every((edge, index) => edge === before[index]) ? before : edges;
}

interface Seen {
  step: StepState | undefined;
  map: MapSummary | undefined;
  tally: Tally | undefined;
  mark: Mark | undefined;
}

const WORST: readonly StepStatus[] = ["failed", "running", "waiting", "completed", "cancelled", "skipped"];

/** The marks of all nodes as of a state; a mark is the same object for as long as it says the same. */
export class Marking {
  private readonly seen = new Map<string, Seen>();
  private state: RunState | undefined;

  at(state: RunState): void {
    this.state = state;
  }

  readonly of = (nodeId: string): Mark | undefined => {
    const step = this.state?.steps.get(nodeId), map = this.state?.maps.get(nodeId), tally = this.state?.tallies.get(nodeId);
    const seen = this.seen.get(nodeId);
    if (seen !== undefined && seen.step === step && seen.map === map && seen.tally === tally) return seen.mark;
    const mark = tally === undefined ? markOfStep(step, map) : markOfItems(tally);
    this.seen.set(nodeId, { step, map, tally, mark });
    return mark;
  };
}

function markOfStep(step: StepState | undefined, map: MapSummary | undefined): Mark | undefined {
  if (step === undefined || (step.status === "pending" && step.attempts.length === 0)) return undefined;
  const mark: Mark = { status: step.status };
  const [first, last] = [step.attempts[0], step.attempts.at(-1)];
  if (last !== undefined) mark.attempt = last.number;
  if (first !== undefined && last?.endedAt !== undefined && SETTLED.has(step.status)) mark.milliseconds = last.endedAt - first.startedAt;
  if (map !== undefined) mark.progress = `${map.completed + map.failed} of ${map.items} items${map.failed > 0 ? `, ${map.failed} failed` : ""}`;
  return mark;
}

/** Of a node inside a map: how many items have done with it, and the status that matters most. */
function markOfItems({ counts }: Tally): Mark {
  const entries = Object.entries(counts);
  const total = entries.reduce((sum, [, count]) => sum + count, 0);
  const settled = entries.reduce((sum, [status, count]) => sum + ([...SETTLED].some((each) => each === status) ? count : 0), 0);
  return { status: WORST.find((status) => (counts[status] ?? 0) > 0) ?? "pending", progress: `${settled} of ${total}` };
}

import { Graph, layout } from "@dagrejs/dagre";

import type { FlowNode } from "../graph/definition";
import { isDecoration } from "../graph/definition";
import { fitted, heightOf, widthOf } from "./edit";
import type { Content } from "./store";

const HEAD = 56, EDGE = 24;

/** Everything from left to right, containers from the inside out; notes and groups stay where they are. */
export function arranged({ nodes, edges }: Pick<Content, "nodes" | "edges">): FlowNode[] {
  let arrangedNodes = nodes;
  for (const parent of innerFirst(nodes)) {
    const group = arrangedNodes.filter((each) => (each.parentId ?? "") === parent && !isDecoration(each));
    const places = placesOf(group, edges);
    arrangedNodes = arrangedNodes.map((each) => {
      const place = places.get(each.id);
      return place === undefined ? each : { ...each, position: { x: place.x + (parent ? EDGE : 0), y: place.y + (parent ? HEAD : 0) } };
    });
    if (parent) arrangedNodes = fitted(arrangedNodes.map((each) => (each.id === parent ? { ...each, width: 0, height: 0 } : each)), parent);
  }
  return arrangedNodes;
}

function placesOf(group: readonly FlowNode[], edges: Content["edges"]): Map<string, { x: number; y: number }> {
  const graph = new Graph().setGraph({ rankdir: "LR", nodesep: 40, ranksep: 80 }).setDefaultEdgeLabel(() => ({}));
  for (const node of group) graph.setNode(node.id, { width: widthOf(node), height: heightOf(node) });
  const ids = new Set(group.map(({ id }) => id));
  for (const { source, target } of edges) if (ids.has(source) && ids.has(target)) graph.setEdge(source, target);
  layout(graph);
  return new Map(group.map((node) => {
    const { x, y } = graph.node(node.id) as { x: number; y: number };
    return [node.id, { x: x - widthOf(node) / 2, y: y - heightOf(node) / 2 }];
  }));
}

/** The ids of the containers, those inside of others first; at last "", the canvas. */
function innerFirst(nodes: readonly FlowNode[]): string[] {
  const byId = new Map(nodes.map((each) => [each.id, each]));
  const depth = (id: string): number => {
    const parent = byId.get(id)?.parentId;
    return parent === undefined ? 1 : 1 + depth(parent);
  };
  const parents = [...new Set(nodes.flatMap(({ parentId }) => (parentId === undefined || !byId.has(parentId) ? [] : [parentId])))];
  return [...parents.toSorted((one, other) => depth(other) - depth(one)), ""];
}

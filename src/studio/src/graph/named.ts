import { useMemo } from "react";

import type { Catalog } from "./catalog";
import { type FlowNode, stepTypeOf, textOf } from "./definition";

/** Nodes with the names that are announced where they have the focus; the very same for a node that has not changed. */
export function useNamed(nodes: FlowNode[], catalog: Catalog): FlowNode[] {
  const named = useMemo(() => naming(catalog), [catalog]);
  return useMemo(() => nodes.map(named), [nodes, named]);
}

function naming(catalog: Catalog): (node: FlowNode) => FlowNode {
  const known = new WeakMap<FlowNode, FlowNode>();
  return (node) => {
    if (node.ariaLabel !== undefined) return node;
    const type = stepTypeOf(node);
    const title = textOf(node.data.label) ?? textOf(node.data.text) ?? catalog.get(type)?.title ?? node.id;
    const found = known.get(node) ?? { ...node, ariaLabel: type === "" ? title : `${title}, ${type}` };
    known.set(node, found);
    return found;
  };
}

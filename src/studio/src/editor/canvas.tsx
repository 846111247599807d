import {
  applyEdgeChanges, applyNodeChanges, Background, type Connection, Controls, type Edge, type EdgeChange, MiniMap, type NodeChange, ReactFlow, useReactFlow,
} from "@xyflow/react";
import { type DragEvent, useCallback, useMemo } from "react";

import type { Catalog } from "../graph/catalog";
import { drawnEdge, type FlowNode, stepTypeOf } from "../graph/definition";
import { type Mark, type Marks, MarksContext } from "../graph/marks";
import { NODE_TYPES } from "../graph/nodes";
import { groupBy } from "../ui/group";
import { useDocument, useEditing } from "./context";
import { addStep, canConnect, CONTAINER, edgeOf, moveInto } from "./edit";
import { DRAGGED } from "./palette";
import "@xyflow/react/dist/style.css";

const MANY = 300; // nodes; then only those in view are drawn

export function Canvas({ catalog }: { catalog: Catalog }) {
  const { store, isReadOnly, issues } = useEditing();
  const nodes = useDocument((state) => state.nodes);
  const drawnEdges = useDocument((state) => state.edges);
  const flow = useReactFlow<FlowNode>();

  const marks = useMemo((): Marks => {
    const problems = groupBy(issues.filter(({ node_id }) => node_id !== null), ({ node_id }) => node_id ?? "");
    const found = new Map<string, Mark>([...problems].map(([id, wrong]) => [id, { problems: [...new Set(wrong.map(({ message }) => message))].slice(0, 3) }]));
    return { catalog, of: (id) => found.get(id) };
  }, [catalog, issues]);
  const edges = useMemo(() => {
    const faulty = new Set(issues.flatMap(({ edge_id }) => edge_id ?? []));
    return drawnEdges.map(drawnEdge).map((edge) => (faulty.has(edge.id) ? { ...edge, className: "faulty" } : edge));
  }, [drawnEdges, issues]);

  const changeNodes = useCallback((changes: NodeChange<FlowNode>[]) => {
    const state = store.getState();
    const next = applyNodeChanges(changes, state.nodes);
    if (changes.some(isAboutContent)) state.change({ nodes: next }, "move");
    else state.look({ nodes: next });
  }, [store]);
  const changeEdges = useCallback((changes: EdgeChange[]) => {
    const state = store.getState();
    const next = applyEdgeChanges(changes, state.edges);
    if (changes.some(({ type }) => type !== "select")) state.change({ edges: next });
    else state.look({ edges: next });
  }, [store]);
  const isValid = useCallback((connection: Connection | Edge) => canConnect(store.getState(), catalog, connection), [store, catalog]);
  const connect = useCallback(({ source, sourceHandle, target }: Connection) => {
    const { edges: known, change } = store.getState();
    change({ edges: [...known, edgeOf(source, sourceHandle, target, known)] });
  }, [store]);
  const drop = (event: DragEvent) => {
    const type = catalog.get(event.dataTransfer.getData(DRAGGED));
    if (type === undefined) return;
    event.preventDefault();
    const at = flow.screenToFlowPosition({ x: event.clientX - 20, y: event.clientY - 20 });
    store.getState().change(addStep(store.getState(), type, at));
    const added = store.getState().nodes.find(({ selected }) => selected);
    if (added !== undefined) putInside(added);
  };
  const putInside = (node: FlowNode) => {
    const state = store.getState();
    const box = { ...node, measured: { width: node.measured?.width ?? 1, height: node.measured?.height ?? 1 } };
    const under = flow.getIntersectingNodes(box, false).filter((each) => stepTypeOf(each) === CONTAINER && each.id !== node.id);
    const innermost = under.at(-1)?.id;
    if (innermost !== node.parentId) state.change(moveInto(state, node.id, innermost));
  };

  return (
    <MarksContext value={marks}>
      <ReactFlow<FlowNode>
        nodes={nodes} edges={edges} nodeTypes={NODE_TYPES} colorMode="system" minZoom={0.05} maxZoom={2} fitView fitViewOptions={{ maxZoom: 1, padding: 0.15 }}
        onlyRenderVisibleElements={nodes.length > MANY} nodesDraggable={!isReadOnly} nodesConnectable={!isReadOnly} deleteKeyCode={null}
        onNodesChange={changeNodes} onEdgesChange={changeEdges} onConnect={connect} isValidConnection={isValid}
        onNodeDragStop={(_, node, dragged) => {
          if (!isReadOnly && dragged.length === 1) putInside(node);
        }}
        onDragOver={(event) => {
          if (!isReadOnly && event.dataTransfer.types.includes(DRAGGED)) event.preventDefault();
        }}
        onDrop={drop} multiSelectionKeyCode={["Shift", "Control", "Meta"]} elevateEdgesOnSelect
        aria-label="The workflow"
      >
        <Background />
        <Controls showInteractive={false} />
        {nodes.length < 2 * MANY && <MiniMap pannable zoomable ariaLabel="Overview" />}
      </ReactFlow>
    </MarksContext>
  );
}

function isAboutContent(change: NodeChange<FlowNode>): boolean {
  if (change.type === "position") return change.position !== undefined;
  if (change.type === "dimensions") return change.resizing === true;
  return change.type !== "select";
}

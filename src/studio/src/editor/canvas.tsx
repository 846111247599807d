import {
  applyEdgeChanges, applyNodeChanges, Background, type Connection, Controls, type Edge, type EdgeChange, MiniMap, type NodeChange, ReactFlow, useReactFlow, type XYPosition,
} from "@xyflow/react";
import { type DragEvent, useCallback, useMemo, useRef } from "react";

import type { Catalog } from "../graph/catalog";
import { drawnEdge, type FlowNode, isDecoration, stepTypeOf } from "../graph/definition";
import { useHoldsAll, useIsFar } from "../graph/far";
import { type Mark, type Marks, MarksContext } from "../graph/marks";
import { useNamed } from "../graph/named";
import { NODE_TYPES } from "../graph/nodes";
import { groupBy } from "../ui/group";
import { useDocument, useEditing } from "./context";
import { addStep, canConnect, CONTAINER, edgeOf, heightOf, looseEdges, moveInto, widthOf } from "./edit";
import { DRAGGED } from "./palette";
import { useInView } from "./use-in-view";
import "@xyflow/react/dist/style.css";

const FIT = { maxZoom: 1, padding: 0.15 }, OVERVIEW = { width: 140, height: 100 };
const MANY = 300; // nodes; then only those in view are drawn, and no overview

export function Canvas({ catalog }: { catalog: Catalog }) {
  const { store, isReadOnly, issues } = useEditing();
  const nodes = useDocument((state) => state.nodes);
  const named = useNamed(nodes, catalog);
  const drawnEdges = useDocument((state) => state.edges);
  const flow = useReactFlow<FlowNode>();

  const marks = useMemo((): Marks => {
    const problems = groupBy(issues.filter(({ node_id }) => node_id !== null), ({ node_id }) => node_id ?? "");
    const found = new Map<string, Mark>([...problems].map(([id, wrong]) => [id, { problems: [...new Set(wrong.map(({ message }) => message))].slice(0, 3) }]));
    return { catalog, of: (id) => found.get(id) };
  }, [catalog, issues]);
  const loose = useDocument((state) => looseEdges(state, catalog).join("\n"));
  const edges = useMemo(() => {
    const faulty = new Set(issues.flatMap(({ edge_id }) => edge_id ?? [])), isLoose = new Set(loose.split("\n"));
    return drawnEdges.map((edge) => {
      const isFaulty = faulty.has(edge.id) || isLoose.has(edge.id);
      // One from a handle that its step does not have begins somewhere all the same: else nobody could see or delete it.
      return isFaulty ? { ...drawnEdge(edge), className: "faulty", ...(isLoose.has(edge.id) ? { sourceHandle: null } : {}) } : drawnEdge(edge);
    });
  }, [drawnEdges, issues, loose]);

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
    store.getState().change(addStep(store.getState(), type, catalog, at));
    const added = store.getState().nodes.find(({ selected }) => selected);
    if (added !== undefined) putInside(added, { x: at.x + 20, y: at.y + 20 });
  };
  /** Whatever has its middle in a container lies in it. */
  const putInside = (node: FlowNode, middle: XYPosition) => {
    const state = store.getState();
    const under = flow.getIntersectingNodes({ ...middle, width: 1, height: 1 }).filter((each) => stepTypeOf(each) === CONTAINER && each.id !== node.id);
    const innermost = under.at(-1)?.id;
    if (innermost !== node.parentId) state.change(moveInto(state, node.id, innermost), "move");
  };
  const dropped = (moved: readonly FlowNode[]) => {
    const ids = new Set(moved.map(({ id }) => id));
    for (const node of moved) {
      const internal = flow.getInternalNode(node.id);
      if (isReadOnly || isDecoration(node) || internal === undefined || ids.has(node.parentId ?? "")) continue;
      const { x, y } = internal.internals.positionAbsolute;
      putInside(node, { x: x + widthOf(node) / 2, y: y + heightOf(node) / 2 });
    }
  };

  const frame = useRef<HTMLDivElement>(null);
  useInView(frame);
  const isFar = useIsFar();
  const holdsAll = useHoldsAll(isFar);

  return (
    <MarksContext value={marks}>
      <ReactFlow<FlowNode>
        ref={frame} className={isFar ? "is-far" : ""} nodes={named} edges={edges} nodeTypes={NODE_TYPES} colorMode="system" minZoom={0.05} maxZoom={2} fitView fitViewOptions={FIT}
        onlyRenderVisibleElements={nodes.length > MANY && !holdsAll} nodesDraggable={!isReadOnly} nodesConnectable={!isReadOnly} deleteKeyCode={null}
        onNodesChange={changeNodes} onEdgesChange={changeEdges} onConnect={connect} isValidConnection={isValid}
        onNodeDragStop={(_event, _node, moved) => dropped(moved)}
        onDragOver={(event) => {
          if (!isReadOnly && event.dataTransfer.types.includes(DRAGGED)) event.preventDefault();
        }}
        onDrop={drop} multiSelectionKeyCode={["Shift", "Control", "Meta"]} elevateEdgesOnSelect
        aria-label="The workflow" tabIndex={-1} data-focus
      >
        {!isFar && <Background />}
        <Controls showInteractive={false} fitViewOptions={FIT} />
        {nodes.length <= MANY && <MiniMap pannable zoomable ariaLabel="Overview" style={OVERVIEW} />}
      </ReactFlow>
    </MarksContext>
  );
}

function isAboutContent(change: NodeChange<FlowNode>): boolean {
  if (change.type === "position") return change.position !== undefined;
  if (change.type === "dimensions") return change.resizing === true;
  return change.type !== "select";
}

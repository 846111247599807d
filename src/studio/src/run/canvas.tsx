import { Background, ControlButton, Controls, ReactFlow, ReactFlowProvider, useEdgesState, useNodesState, useReactFlow } from "@xyflow/react";
import { LocateFixed } from "lucide-react";
import { memo, useEffect, useMemo, useRef, useState } from "react";

import "@xyflow/react/dist/style.css";
import { Listeners } from "../auth/listeners";
import { useCatalog } from "../graph/catalog";
import { drawnEdge, type Definition, type FlowNode } from "../graph/definition";
import { FAR, useHoldsAll, useIsFar } from "../graph/far";
import { bringIntoView } from "../graph/focus";
import { MarksContext } from "../graph/marks";
import { useNamed } from "../graph/named";
import { NODE_TYPES } from "../graph/nodes";
import { edgesAt, Marking, nodesOf } from "./drawing";
import { currentNode } from "./current";
import { ENDED, type RunState } from "./replay";
import "./canvas.css";

interface CanvasProps {
  definition: Definition;
  state: RunState;
  /** The node whose step is shown. */
  selected: string | undefined;
  onSelect: (nodeId: string | undefined) => void;
}

/** The workflow as it was drawn, with how it goes. Nothing can be changed. */
export const RunCanvas = memo(function RunCanvas(props: CanvasProps) {
  return <ReactFlowProvider><Flow {...props} /></ReactFlowProvider>;
});

const FIT = { padding: 0.1, maxZoom: 1 };
const FOLLOWS_MS = 150;

function Flow({ definition, state, selected, onSelect }: CanvasProps) {
  const catalog = useCatalog();
  const [marking] = useState(() => new Marking());
  const [listeners] = useState(() => new Listeners());
  const marks = useMemo(() => ({ catalog, of: marking.of, subscribe: listeners.subscribe }), [catalog, marking, listeners]);
  const [nodes, setNodes, onNodesChange] = useNodesState<FlowNode>(nodesOf(definition));
  const named = useNamed(nodes, catalog);
  const [edges, setEdges] = useEdgesState(definition.edges.map(drawnEdge));
  const flow = useReactFlow<FlowNode>();
  const canvas = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(false);
  const isFar = useIsFar();
  const holdsAll = useHoldsAll(isFar);
  const current = follows && selected === undefined ? currentNode(state) : undefined; // who looks at a step is left there

  useEffect(() => {
    marking.at(state);
    listeners.tell();
    setEdges((before) => edgesAt(state, before));
  }, [state, marking, listeners, setEdges]);

  useEffect(() => {
    setNodes((before) => before.map((node) => (node.selected === (node.id === selected) ? node : { ...node, selected: node.id === selected })));
  }, [selected, setNodes]);

  useEffect(() => {
    if (selected !== undefined && canvas.current !== null) bringIntoView(flow, canvas.current, selected);
  }, [selected, flow]);

  useEffect(() => {
    if (current === undefined) return;
    const timer = setTimeout(() => {
      if (canvas.current !== null) bringIntoView(flow, canvas.current, current, true);
    }, FOLLOWS_MS);
    return () => clearTimeout(timer);
  }, [current, flow]);

  return (
    <MarksContext value={marks}>
      <ReactFlow
        ref={canvas} className={isFar ? "is-far" : ""} nodes={named} edges={edges} nodeTypes={NODE_TYPES} fitView fitViewOptions={FIT} minZoom={0.05} colorMode="system" onlyRenderVisibleElements={!holdsAll}
        nodesDraggable={false} nodesConnectable={false} edgesFocusable={false} deleteKeyCode={null} selectionKeyCode={null} multiSelectionKeyCode={null}
        onNodesChange={(changes) => {
          onNodesChange(changes.filter(({ type }) => type !== "select"));
          const chosen = changes.find((change) => change.type === "select" && change.selected);
          if (chosen?.type === "select") onSelect(chosen.id);
        }}
        onPaneClick={() => onSelect(undefined)}
        onInit={() => void flow.fitView(FIT).then(() => {
          if (flow.getZoom() < FAR && !ENDED.has(state.status)) setFollows(true); // from step to step, where they can be read
          if (selected !== undefined && canvas.current !== null) bringIntoView(flow, canvas.current, selected);
        })}
        onMoveStart={(event) => {
          if (event !== null) setFollows(false); // somebody looks elsewhere
        }}
        aria-label="Workflow"
      >
        {!isFar && <Background />}
        <Controls showInteractive={false} fitViewOptions={FIT} onFitView={() => setFollows(false)}>
          <ControlButton onClick={() => setFollows(!follows)} aria-pressed={follows} aria-label="Follow the run" title="Follow the run" className={follows ? "is-on" : ""}>
            <LocateFixed aria-hidden="true" />
          </ControlButton>
        </Controls>
      </ReactFlow>
    </MarksContext>
  );
}

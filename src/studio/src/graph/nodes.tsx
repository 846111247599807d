import { Handle, type NodeProps, type NodeTypes, Position, useUpdateNodeInternals } from "@xyflow/react";
import { memo, use, useEffect, useRef } from "react";

import { Prose } from "../ui/prose";
import { Status } from "../ui/status";
import { duration } from "../ui/time";
import { type FlowNode, inputsOf, outputsOf, stepTypeOf, textOf } from "./definition";
import { StepIcon } from "./icons";
import { type Mark, MarksContext, useMark } from "./marks";
import "./graph.css";

/** A step: its icon and label, its type, a handle for each way out, and how it goes or what is wrong with it. */
const StepNode = memo(function StepNode({ id, type, data, selected }: NodeProps<FlowNode>) {
  const { catalog } = use(MarksContext);
  const mark = useMark(id);
  const name = stepTypeOf({ type, data });
  const step = catalog.get(name);
  const outputs = outputsOf(step, data);
  const isContainer = name === "core.map";
  useMeasured(id, isContainer ? `${outputs.join()} ${mark === undefined ? "" : "marked"}` : "");
  return (
    <div className={`step ${mark?.status ?? ""} ${selected ? "selected" : ""} ${isContainer ? "container" : ""} ${mark?.problems ? "faulty" : ""}`}>
      {inputsOf(step).map((handle) => <Handle key={handle} id={handle} type="target" position={Position.Left} />)}
      <div className="step-head">
        <StepIcon name={step?.icon} />
        <div className="grow">
          <div className="step-label">{textOf(data.label) ?? step?.title ?? id}</div>
          <div className="step-type">{name}</div>
        </div>
      </div>
      {mark !== undefined && <Said mark={mark} />}
      {outputs.length > 1 && (
        <ul className="step-outputs">
          {outputs.map((handle) => (
            <li key={handle} className={handle === "error" ? "error" : ""}>
              {handle}
              <Handle id={handle} type="source" position={Position.Right} />
            </li>
          ))}
        </ul>
      )}
      {outputs.length === 1 && <Handle id={outputs[0] ?? null} type="source" position={Position.Right} />}
    </div>
  );
});

/** Have it measured anew where a container's handles are, when these have moved: React Flow looks by itself only when a node's size changes. */
function useMeasured(id: string, inside: string): void {
  const measure = useUpdateNodeInternals();
  const before = useRef(inside);
  useEffect(() => {
    if (before.current !== inside) measure(id);
    before.current = inside;
  }, [id, inside, measure]);
}

function Said({ mark }: { mark: Mark }) {
  return (
    <div className="step-mark">
      {mark.status !== undefined && <Status status={mark.status} />}
      {mark.progress !== undefined && <span>{mark.progress}</span>}
      {(mark.attempt ?? 1) > 1 && <span>attempt {mark.attempt}</span>}
      {mark.milliseconds !== undefined && <span>{duration(mark.milliseconds)}</span>}
      {mark.problems?.map((problem) => <p key={problem} className="problem"><Prose text={problem} /></p>)}
    </div>
  );
}

const NoteNode = memo(function NoteNode({ data }: NodeProps<FlowNode>) {
  return <div className="canvas-note">{textOf(data.text) ?? textOf(data.label)}</div>;
});

const GroupNode = memo(function GroupNode({ data }: NodeProps<FlowNode>) {
  return <div className="canvas-group">{textOf(data.label)}</div>;
});

const DRAWN: NodeTypes = { note: NoteNode, annotation: NoteNode, group: GroupNode };

/** React Flow's node types: every type that is drawn is a step, unless it is a decoration. A node's own type is kept as it is. */
export const NODE_TYPES: NodeTypes = new Proxy(DRAWN, {
  get: (drawn, type: string) => drawn[type] ?? StepNode,
  has: () => true,
});

import { UserCheck } from "lucide-react";

import { ENDED, type RunState } from "./replay";

const MOST = 5;

/** Says which steps wait for a person, and leads there. */
export function WaitingFor({ state, labelOf, onSelect }: { state: RunState; labelOf: (nodeId: string) => string; onSelect: (stepId: string) => void }) {
  if (ENDED.has(state.status)) return null;
  const asking = [...state.steps.values()].filter(({ waitsFor }) => waitsFor === "person");
  return (
    <div role="status" className="waiting-for">
      {asking.length > 0 && (
        <div className="row">
          <UserCheck size={16} aria-hidden="true" /> <span>Waiting for an answer:</span>
          {asking.slice(0, MOST).map(({ id, nodeId, map }) => <button key={id} type="button" onClick={() => onSelect(id)}>{map === undefined ? labelOf(nodeId) : id}</button>)}
          {asking.length > MOST && <span>and {asking.length - MOST} more</span>}
        </div>
      )}
    </div>
  );
}

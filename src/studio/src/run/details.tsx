import { X } from "lucide-react";

import type { Run } from "../api/client";
import { ItemList } from "./item-list";
import { placeOf } from "./places";
import type { RunState } from "./replay";
import { RunDetails } from "./run-details";
import { StepDetails } from "./step-details";
import "./details.css";

interface DetailsProps {
  run: Run;
  state: RunState;
  isPast: boolean;
  /** The step, or the node inside a map. */
  selected: string | undefined;
  /** The attempt that was chosen in the timeline. */
  attempt: number | undefined;
  labelOf: (nodeId: string) => string;
  onSelect: (stepId: string | undefined, attempt?: number) => void;
}

/** What is chosen, else the run. */
export function Details({ run, state, isPast, selected, attempt, labelOf, onSelect }: DetailsProps) {
  if (selected === undefined) {
    return (
      <aside className="run-details" aria-label="Details">
        <h2>This run</h2>
        <RunDetails run={run} state={state} isPast={isPast} onSelect={onSelect} />
      </aside>
    );
  }
  const { nodeId, map } = placeOf(selected, state.maps);
  const step = state.steps.get(selected);
  const hasItems = state.maps.has(selected) || state.tallies.has(nodeId);
  return (
    <aside className="run-details is-sheet" aria-label="Details">
      <div className="details-head">
        <div className="grow"><h2>{labelOf(nodeId)}</h2><code>{selected}</code></div>
        <button type="button" className="quiet" aria-label="Close details" onClick={() => onSelect(undefined)}><X size={16} aria-hidden="true" /></button>
      </div>
      {map !== undefined && <p><button type="button" onClick={() => onSelect(nodeId)}>All items of {labelOf(nodeId)}</button></p>}
      {hasItems && <ItemList key={`${nodeId} items`} state={state} nodeId={map === undefined ? selected : nodeId} selected={selected} onSelect={onSelect} />}
      {step !== undefined && <StepDetails key={selected} run={run} step={step} isPast={isPast} attempt={attempt} onAttempt={(number) => onSelect(selected, number)} />}
      {step === undefined && !hasItems && <p className="note">It has not begun.</p>}
    </aside>
  );
}

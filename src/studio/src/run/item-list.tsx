import { useMemo, useState } from "react";

import { Status } from "../ui/status";
import { duration } from "../ui/time";
import type { RunState, StepState } from "./replay";
import { Rows } from "./rows";

const ROW = 28;
const SHOWN = ["all", "running", "waiting", "completed", "failed", "cancelled", "skipped"] as const;

interface ItemListProps {
  state: RunState;
  /** The map, or a node inside of one. */
  nodeId: string;
  selected: string;
  onSelect: (stepId: string) => void;
}

/** The steps inside a map, item by item. */
export function ItemList({ state, nodeId, selected, onSelect }: ItemListProps) {
  const [shown, setShown] = useState<(typeof SHOWN)[number]>("all");
  const steps = useMemo(
    () => stepsInside(state, nodeId).filter(({ status }) => shown === "all" || status === shown),
    [state, nodeId, shown],
  );
  return (
    <section aria-label="Items" className="items">
      <div className="row">
        <h3 className="grow">Items</h3>
        <label className="row">
          <span>Show</span>
          <select value={shown} onChange={(event) => setShown(SHOWN[event.currentTarget.selectedIndex] ?? "all")}>{SHOWN.map((each) => <option key={each}>{each}</option>)}</select>
        </label>
      </div>
      {steps.length === 0 ? <p className="note">None.</p> : (
        <Rows
          label="Steps by item" className="item-rows" count={steps.length} height={ROW} active={steps.findIndex(({ id }) => id === selected)}
          keyOf={(index) => steps[index]?.id ?? ""} onChoose={(index) => onSelect(steps[index]?.id ?? nodeId)}
        >
          {(index) => <Item step={steps[index]} />}
        </Rows>
      )}
    </section>
  );
}

function Item({ step }: { step: StepState | undefined }) {
  if (step === undefined) return null;
  const [first, last] = [step.attempts[0], step.attempts.at(-1)];
  return (
    <span className="item-row">
      <span className="mono">{step.id}</span> <Status status={step.status} />
      {step.attempts.length > 1 && <span className="note">attempt {last?.number}</span>}
      {first !== undefined && last?.endedAt !== undefined && <span className="note">{duration(last.endedAt - first.startedAt)}</span>}
    </span>
  );
}

/** In the order of the items, and within an item in the order in which its steps began. */
function stepsInside(state: RunState, nodeId: string): StepState[] {
  return [...state.steps.values()]
    .filter((step) => step.map !== undefined && (step.nodeId === nodeId || step.map === nodeId))
    .sort((a, b) => (a.map === b.map ? (a.index ?? 0) - (b.index ?? 0) : (a.map ?? "").localeCompare(b.map ?? "")));
}

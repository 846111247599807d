import { useMemo, useState } from "react";

import type { StepType } from "../api/client";
import type { Catalog } from "../graph/catalog";
import { StepIcon } from "../graph/icons";
import { groupBy } from "../ui/group";
import { useEditing } from "./context";
import { addStep } from "./edit";

export const DRAGGED = "application/x-stepwire-step";

/** The step types that there are. Enter or a click adds one behind the selected step; dragging puts it anywhere. */
export function Palette({ catalog }: { catalog: Catalog }) {
  const { store } = useEditing();
  const [wanted, setWanted] = useState("");
  const groups = useMemo(() => grouped(catalog, wanted), [catalog, wanted]);

  const add = (type: StepType) => {
    store.getState().change(addStep(store.getState(), type, catalog));
  };
  const addFirst = () => {
    const [first] = groups[0]?.[1] ?? [];
    if (first !== undefined) add(first);
  };

  return (
    <section className="palette" aria-label="Steps">
      <input
        type="search" aria-label="Search steps" placeholder="Search steps ( / )" value={wanted} id="palette-search"
        onChange={({ currentTarget }) => setWanted(currentTarget.value)}
        onKeyDown={({ key }) => {
          if (key === "Enter" && wanted !== "") addFirst();
        }}
      />
      {groups.map(([category, types]) => (
        <section key={category} aria-label={category}>
          <h3>{category}</h3>
          <ul>
            {types.map((type) => (
              <li key={type.type}>
                <button
                  type="button" className="quiet" draggable title={type.description} onClick={() => add(type)}
                  onDragStart={({ dataTransfer }) => {
                    dataTransfer.setData(DRAGGED, type.type);
                    dataTransfer.effectAllowed = "move";
                  }}
                >
                  <StepIcon name={type.icon} /> {type.title}
                </button>
              </li>
            ))}
          </ul>
        </section>
      ))}
      {groups.length === 0 && catalog.size > 0 && <p className="note">No step has “{wanted}” in its name.</p>}
    </section>
  );
}

function grouped(catalog: Catalog, wanted: string): [string, StepType[]][] {
  const words = wanted.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const found = [...catalog.values()].filter(({ type, title, description, category }) => {
    const text = `${type} ${title} ${description} ${category}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return [...groupBy(found, ({ category }) => category)];
}

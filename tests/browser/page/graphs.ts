// Definitions as React Flow's toObject() gives them.
import type { Definition } from "./client";

interface Step {
  id: string;
  type: string;
  config?: Definition;
}

/** The steps in a row, the first one fired by hand. */
export function chain(...steps: Step[]): Definition {
  const all: Step[] = [{ id: "start", type: "trigger.manual" }, ...steps];
  return {
    nodes: all.map(({ id, type, config = {} }, place) => ({
      id,
      type: "step",
      position: { x: place * 240.5, y: 0 },
      measured: { width: 180, height: 48 },
      data: { step_type: type, config },
    })),
    edges: steps.map(({ id }, place) => ({
      id: `reactflow__edge-${all[place]?.id ?? ""}-${id}`,
      source: all[place]?.id,
      target: id,
    })),
    viewport: { x: 0, y: 0, zoom: 1 },
  };
}

export const greet = (text = "Hello {{ input.name }}"): Step => ({
  id: "greet",
  type: "core.transform",
  config: { values: { text } },
});
export const wait = (duration: string): Step => ({ id: "wait", type: "core.delay", config: { duration } });
export const fail: Step = { id: "fail", type: "core.fail", config: { message: "No." } };

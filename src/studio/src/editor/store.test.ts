import { describe, expect, it, vi } from "vitest";

import type { Workflow } from "../api/client";
import { differences } from "./diff";
import { documentOf, savedOf } from "./store";

const NODES = [{ id: "a", type: "core.log", position: { x: 1, y: 2 }, data: { label: "A", odd: { kept: [1.5, null] } }, measured: { width: 9 }, zIndex: 3 }];
const WORKFLOW: Workflow = {
  id: "w", name: "Mine", description: "", version: 1, status: "draft", input_schema: null, priority: "normal", concurrency_limit: null, source_id: null,
  created_at: "", updated_at: "", published_at: null, definition: { nodes: NODES, edges: [], viewport: { x: 0, y: 0, zoom: 2 }, theirs: "kept" },
};

describe("a document", () => {
  it("is saved as it was read, whatever is in it", () => {
    expect(savedOf(documentOf(WORKFLOW).getState()).definition).toEqual(WORKFLOW.definition);
  });

  it("is saved as it was read, though much of it had to be mended to be drawn", () => {
    const place = { x: 1, y: 2 };
    const theirs = {
      nodes: [
        { id: "inner", parentId: "box", position: place, data: null }, { id: "box", type: "group", position: place, parentId: null, style: "wide" },
        { id: "one", parentId: "other", position: place, data: { label: { jsx: [] } } }, { id: "other", parentId: "one", position: place },
        { id: "twice", position: place, data: {} }, { id: "twice", position: { x: 9, y: 9 }, data: {} },
      ],
      edges: [{ id: "e", source: "one", target: "two", label: { jsx: 1 } }, { id: "e", source: "twice", target: "one" }],
    };
    const store = documentOf({ ...WORKFLOW, definition: theirs });
    const { nodes, edges } = store.getState();

    expect(savedOf(store.getState()).definition).toEqual(theirs);
    expect(new Set([...nodes, ...edges].map(({ id }) => id)).size).toBe(8);
    store.getState().change({ nodes: nodes.map((node) => (node.id === "one" ? { ...node, position: { x: 5, y: 5 } } : node)) });
    expect(savedOf(store.getState()).definition.nodes).toEqual(theirs.nodes.with(2, { ...theirs.nodes[2], position: { x: 5, y: 5 } } as never));
    store.getState().undo();
    expect(savedOf(store.getState()).definition).toEqual(theirs);
  });

  it("is not changed by what is only looked at", () => {
    const store = documentOf(WORKFLOW);
    store.getState().look({ nodes: store.getState().nodes.map((node) => ({ ...node, selected: true })) });

    expect(store.getState().revision).toBe(0);
    expect(store.temporal.getState().pastStates).toEqual([]);
    expect(savedOf(store.getState()).definition).toEqual(WORKFLOW.definition);
  });

  it("goes back and forth, a burst of changes at once", () => {
    const store = documentOf(WORKFLOW);
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    for (let x = 0; x < 5; x += 1) {
      now.mockReturnValue(1000 + x);
      store.getState().change({ nodes: store.getState().nodes.map((node) => ({ ...node, position: { x, y: 0 } })) }, "move");
    }
    now.mockReturnValue(5000);
    store.getState().change({ nodes: [] });
    store.getState().undo();
    expect(store.getState().nodes[0]?.position.x).toBe(4);
    store.getState().undo();
    expect(store.getState().nodes[0]?.position.x).toBe(1);
    store.getState().redo();
    store.getState().redo();
    expect(store.getState().nodes).toEqual([]);
    expect(store.getState().revision).toBe(10);
    now.mockRestore();
  });
});

it("two versions differ by what is in them, not by the order of keys or what is selected", () => {
  const theirs: Workflow = {
    ...WORKFLOW, name: "Theirs",
    definition: { edges: [{ id: "e", source: "a", target: "b" }], nodes: [{ ...NODES[0], selected: true }, { id: "b", data: {}, position: { x: 0, y: 0 } }] },
  };
  expect(differences(savedOf(documentOf(WORKFLOW).getState()), theirs)).toEqual([
    { what: "name", how: "changed" }, { what: "Step b", how: "only theirs" }, { what: "Connection e", how: "only theirs" },
  ]);
});

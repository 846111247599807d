import { describe, expect, it } from "vitest";

import { definitionOf, drawn, drawnEdge, restored } from "./definition";

const PLACE = { x: 1, y: 2 };

describe("a definition that somebody else wrote", () => {
  it("is as it was, where it can be drawn", () => {
    const raw = { nodes: [{ id: "a", position: PLACE, data: { odd: 1 }, odd: null }], edges: [{ id: "e", source: "a", target: "b", label: "x" }], viewport: { x: 0, y: 0, zoom: 1 }, more: true };
    expect(definitionOf(raw)).toEqual(raw);
  });

  it.each([null, undefined, 7, [], {}, { nodes: 1, edges: "x" }, { nodes: [null, 1, { data: {} }], edges: [{ source: "a" }] }])("may be hardly one: %j", (raw) => {
    expect(definitionOf(raw)).toMatchObject({ nodes: [], edges: [] });
  });

  it("has a place for each node that has none, in the order of the steps", () => {
    const raw = { nodes: [{ id: "b" }, { id: "a", data: null }, { id: "c" }, { id: "other" }], edges: [{ source: "a", target: "b" }, { source: "b", target: "c" }, { source: "c", target: "a" }] };
    const found = definitionOf(raw);
    const places = found.nodes.map(({ position: { x, y } }) => `${x} ${y}`);

    expect(new Set(places).size).toBe(4);
    expect(found.nodes.every(({ data }) => typeof data === "object")).toBe(true);
    expect(found.edges.map(({ id }) => id)).toEqual(["a-b", "b-c", "c-a"]);
  });

  it("does not pile its nodes up", () => {
    const found = definitionOf({ nodes: [{ id: "a", position: PLACE }, { id: "b", position: PLACE }], edges: [{ id: "e", source: "a", target: "b" }] });
    expect(found.nodes[0]?.position.x).toBeLessThan(found.nodes[1]?.position.x ?? 0);
    expect(definitionOf({ nodes: [{ id: "a", position: PLACE }], edges: [] }).nodes[0]?.position).toEqual(PLACE);
  });

  it("has containers before what is in them, and no parents that are not there", () => {
    const nodes = [{ id: "in", parentId: "out", position: PLACE }, { id: "out", position: { x: 5, y: 5 } }, { id: "lost", parentId: "gone", position: PLACE }, { id: "null", parentId: null, position: PLACE }];
    const found = definitionOf({ nodes, edges: [] });
    expect(found.nodes.map(({ id, parentId }) => [id, parentId])).toEqual([["out", undefined], ["in", "out"], ["lost", undefined], ["null", undefined]]);
  });

  it("tells edges apart that have one id by accident", () => {
    const edge = { id: "e", source: "a", target: "b" };
    expect(new Set(definitionOf({ nodes: [], edges: [edge, edge, edge] }).edges.map(({ id }) => id)).size).toBe(3);
  });
});

it.each([
  { width: "50%" }, { height: 12345678901234567890n }, { zIndex: 12345678901234567890n }, { initialWidth: {} }, { origin: [] }, { origin: null }, { extent: true }, { extent: [[0, 0], 1] },
  { handles: {} }, { type: "__proto__" }, { type: "constructor" }, { style: [] }, { label: [{}] },
])("what cannot be drawn with is left out of the drawing, and saved as it was: %o", (odd) => {
  const raw = { nodes: [{ id: "a", position: PLACE, data: {}, ...odd }], edges: [{ id: "e", source: "a", target: "a", ...odd }] };
  const { nodes, edges, mends } = drawn(raw);
  for (const thing of [nodes[0], edges[0]]) for (const key of Object.keys(odd)) expect(thing).not.toHaveProperty(key);
  expect(restored(nodes, edges, mends)).toEqual(raw);
});

it.each([{ extent: "parent" }, { extent: [[0, 0], [9, 9]] }, { origin: [0.5, 0.5] }, { width: 100 }, { handles: [] }, { type: "core.log" }])("%o can be drawn with", (sound) => {
  expect(drawn({ nodes: [{ id: "a", position: PLACE, data: {}, ...sound }], edges: [] }).nodes[0]).toMatchObject(sound);
});

it("an edge is drawn to the one way in, whatever another editor calls it", () => {
  expect(drawnEdge({ id: "e", source: "a", target: "b", targetHandle: "left-1" }).targetHandle).toBeNull();
});

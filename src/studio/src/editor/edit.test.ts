import { describe, expect, it } from "vitest";

import type { StepType } from "../api/client";
import type { FlowNode } from "../graph/definition";
import { addStep, canConnect, edgeOf, freeId, insert, moveInto, removeSelected, rename, selection, upstream } from "./edit";
import { arranged } from "./layout";

function type(name: string, outputs = ["default"], inputs = ["default"]): StepType {
  return { type: name, title: name, description: "", category: "", icon: "", kind: "pure", config_schema: {}, handles: { inputs, outputs }, output_schema: null, examples: [] };
}
const TRANSFORM = type("core.transform"), MAP = type("core.map");
const CATALOG = new Map([TRANSFORM, MAP, { ...type("trigger.manual", ["default"], []), kind: "trigger" as const }, type("core.condition", ["true", "false"])].map((each) => [each.type, each]));

function node(id: string, more: Partial<FlowNode> = {}): FlowNode {
  return { id, type: "core.transform", position: { x: 0, y: 0 }, data: {}, ...more };
}

describe("a step that is added", () => {
  it("comes behind the selected one, connected, with an id of its own", () => {
    const drawn = addStep({ nodes: [node("transform", { selected: true })], edges: [] }, TRANSFORM, CATALOG);

    expect(drawn.nodes?.map(({ id, selected }) => [id, selected])).toEqual([["transform", false], ["transform_2", true]]);
    expect(drawn.edges).toMatchObject([{ source: "transform", target: "transform_2" }]);
    expect(drawn.nodes?.[1]?.position.x).toBeGreaterThan(200);
  });

  it("comes into a container that is selected, which grows with it", () => {
    const first = addStep({ nodes: [], edges: [] }, MAP, CATALOG);
    const second = addStep({ nodes: first.nodes ?? [], edges: [] }, TRANSFORM, CATALOG);
    const inside = second.nodes?.find(({ parentId }) => parentId === "map");

    expect(inside?.type).toBe("core.transform");
    expect(second.edges).toEqual([]);
    const again = addStep({ nodes: (second.nodes ?? []).map((each) => ({ ...each, selected: each.id === "map" })), edges: [] }, TRANSFORM, CATALOG);
    expect(again.nodes?.find(({ id }) => id === "map")?.width).toBeGreaterThan(320);
  });

  it("follows a condition at the way that leads nowhere yet", () => {
    const condition = [node("if", { type: "core.condition", selected: true })];
    const first = addStep({ nodes: condition, edges: [] }, TRANSFORM, CATALOG).edges ?? [];
    const second = addStep({ nodes: condition, edges: first }, TRANSFORM, CATALOG).edges ?? [];

    expect([...first, ...second.slice(1)].map(({ sourceHandle }) => sourceHandle)).toEqual(["true", "false"]);
  });

  it("does not lie on another one", () => {
    let drawn: { nodes: FlowNode[]; edges: ReturnType<typeof edgeOf>[] } = { nodes: [node("a", { selected: true })], edges: [] };
    for (let number = 0; number < 5; number += 1) {
      const change = addStep(drawn, TRANSFORM, CATALOG);
      drawn = { nodes: (change.nodes ?? []).map((each) => ({ ...each, selected: each.id === "a" })), edges: change.edges ?? [] };
    }
    const places = drawn.nodes.map(({ position: { x, y } }) => `${x} ${y}`);
    expect(new Set(places).size).toBe(6);
  });
});

describe("connections", () => {
  const nodes = [node("start", { type: "trigger.manual" }), node("a"), node("b"), node("each", { type: "core.map" }), node("inner", { parentId: "each" })];
  it.each([
    ["a", "b", undefined, true],
    ["a", "b", "error", true],
    ["a", "b", "true", false],
    ["a", "a", undefined, false],
    ["a", "start", undefined, false],
    ["start", "a", "error", false],
    ["a", "inner", undefined, false],
    ["b", "gone", undefined, false],
  ])("from %s to %s at %s: %s", (source, target, sourceHandle, isFine) => {
    expect(canConnect({ nodes, edges: [] }, CATALOG, { source, target, sourceHandle })).toBe(isFine);
  });

  it("are not made twice, nor in a circle", () => {
    const edges = [edgeOf("a", null, "b", [])];
    expect(canConnect({ nodes, edges }, CATALOG, { source: "a", target: "b" })).toBe(false);
    expect(canConnect({ nodes, edges }, CATALOG, { source: "b", target: "a" })).toBe(false);
  });
});

describe("what is selected", () => {
  const nodes = [node("a"), node("each", { type: "core.map", selected: true }), node("inner", { parentId: "each" }), node("last")];
  const edges = [edgeOf("a", null, "each", []), edgeOf("each", null, "last", [])];

  it("goes with what is inside of it, and its connections", () => {
    const left = removeSelected({ nodes, edges });
    expect([left.nodes?.map(({ id }) => id), left.edges]).toEqual([["a", "last"], []]);
  });

  it("is copied with ids of its own, which its expressions follow", () => {
    const drawn = { nodes: [node("a", { selected: true }), node("b", { selected: true, data: { config: { x: "{{ steps.a.output + steps.other.output }}", y: ['{{ steps["a"].error }}'] } } })], edges: [edgeOf("a", "error", "b", [])] };
    const after = insert(drawn, selection(drawn));
    const [, , a, b] = after.nodes ?? [];

    expect([a?.id, b?.id]).toEqual(["a_2", "b_2"]);
    expect(b?.data.config).toEqual({ x: "{{ steps.a_2.output + steps.other.output }}", y: ["{{ steps.a_2.error }}"] });
    expect(after.edges).toMatchObject([{ source: "a" }, { source: "a_2", target: "b_2", sourceHandle: "error" }]);
    expect(new Set(after.edges?.map(({ id }) => id)).size).toBe(2);
  });
});

it("a step that is renamed keeps its connections, what is in it, and what names it", () => {
  const nodes = [node("each", { type: "core.map" }), node("inner", { parentId: "each" }), node("b", { data: { config: { x: "{{ steps.each.output }} steps.eachother" } } })];
  const after = rename({ nodes, edges: [edgeOf("each", null, "b", [])] }, "each", "all orders");

  expect(after.nodes?.map(({ id, parentId }) => [id, parentId])).toEqual([["all orders", undefined], ["inner", "all orders"], ["b", undefined]]);
  expect(after.nodes?.[2]?.data.config).toEqual({ x: '{{ steps["all orders"].output }} steps.eachother' });
  expect(after.edges?.[0]?.source).toBe("all orders");
});

it.each([
  ["plain", "steps.plain.output"], ['12" pipe', `steps['12" pipe'].output`], ["it's", `steps["it's"].output`],
  [`"it's"`, String.raw`steps["\"it's\""].output`], [String.raw`back\slash`, String.raw`steps["back\\slash"].output`],
])("what names a step that is renamed to %s can be read", (name, written) => {
  const nodes = [node("a"), node("b", { data: { config: { x: "{{ steps.a.output }}" } } })];
  expect(rename({ nodes, edges: [] }, "a", name).nodes?.[1]?.data.config).toEqual({ x: `{{ ${written} }}` });
});

it("expressions see what leads to a step, and what leads to its container", () => {
  const nodes = [node("a"), node("each", { type: "core.map" }), node("one", { parentId: "each" }), node("two", { parentId: "each" }), node("later")];
  const edges = [edgeOf("a", null, "each", []), edgeOf("one", null, "two", []), edgeOf("each", null, "later", [])];
  expect([...upstream({ nodes, edges }, "two")].toSorted()).toEqual(["a", "one"]);
});

it("a node moves into a container and out again without moving on the screen", () => {
  const nodes = [node("a", { position: { x: 500, y: 400 } }), node("each", { type: "core.map", position: { x: 300, y: 200 }, width: 320, height: 170 })];
  const inside = moveInto({ nodes, edges: [] }, "a", "each").nodes ?? [];

  expect(inside.map(({ id }) => id)).toEqual(["each", "a"]);
  expect(inside[1]).toMatchObject({ parentId: "each", position: { x: 200, y: 200 } });
  expect((moveInto({ nodes: inside, edges: [] }, "a", undefined).nodes ?? []).find(({ id }) => id === "a")).toMatchObject({ position: { x: 500, y: 400 } });
  expect(moveInto({ nodes: inside, edges: [] }, "each", "a")).toEqual({});
});

it("ids are free", () => {
  expect(freeId("HTTP request", new Set())).toBe("http-request");
  expect(freeId("a", new Set(["a", "a-2"]))).toBe("a-3");
});

it("what is arranged lies from left to right and nothing on anything else; containers hold what is in them", () => {
  const nodes = [node("a"), node("each", { type: "core.map" }), node("one", { parentId: "each" }), node("two", { parentId: "each" }), node("b"), node("note", { type: "note", position: { x: 7, y: 7 } })];
  const edges = [edgeOf("a", null, "each", []), edgeOf("one", null, "two", []), edgeOf("a", null, "b", [])];
  const found = new Map(arranged({ nodes, edges }).map((each) => [each.id, each]));
  const at = (id: string) => found.get(id)?.position ?? { x: NaN, y: NaN };

  expect(at("a").x).toBeLessThan(at("each").x);
  expect(at("one").x).toBeLessThan(at("two").x);
  expect(at("two").x + 200).toBeLessThanOrEqual(found.get("each")?.width ?? 0);
  expect(Math.abs(at("each").y - at("b").y)).toBeGreaterThanOrEqual(70);
  expect(at("note")).toEqual({ x: 7, y: 7 });
});

import { describe, expect, test } from "vitest";

import { faultsOf, pathOf } from "./faults";
import { plain } from "./plain";
import { placed, VALIDATOR } from "./validator";

const ORDER = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string", minLength: 2 }, lines: { type: "array", items: { $ref: "#/$defs/line" } } },
  $defs: { line: { type: "object", required: ["sku"], properties: { sku: { type: "string" }, count: { type: "integer", minimum: 1 } } } },
};

describe("faultsOf", () => {
  test("says each fault once, at its place, and not what is above it", () => {
    expect(faultsOf(ORDER, { lines: [{ sku: "a" }, { count: 0 }] }).map(({ path }) => path)).toEqual([["id"], ["lines", "1", "sku"], ["lines", "1", "count"]]);
    expect(faultsOf(ORDER, { id: "o-1", lines: [] })).toEqual([]);
  });

  test("says of alternatives that none fits, and nothing about each", () => {
    expect(faultsOf({ anyOf: [{ type: "string" }, { type: "number" }] }, true)).toMatchObject([{ keyword: "anyOf", path: [] }]);
  });

  test("leaves the schema as it is", () => {
    const before = JSON.stringify(ORDER);
    faultsOf(ORDER, {});
    expect(JSON.stringify(ORDER)).toBe(before);
  });

  test("reads pointers", () => {
    expect(pathOf("/a~1b/~0c/0")).toEqual(["a/b", "~c", "0"]);
    expect(pathOf("")).toEqual([]);
  });
});

test("emptied fields are no data, and neither are objects of nothing else", () => {
  expect(plain({ a: undefined, b: { c: undefined }, d: {}, e: [{ f: undefined }, undefined], g: 0 })).toEqual({ d: {}, e: [{}, null], g: 0 });
});

test("a part of a schema knows the definitions of the whole", () => {
  expect(VALIDATOR.isValid({ $ref: "#/$defs/line" }, { sku: "a" }, ORDER as object)).toBe(true);
  expect(VALIDATOR.isValid({ $ref: "#/$defs/line" }, {}, ORDER as object)).toBe(false);
});

test("faults are placed at their fields, whatever these are called", () => {
  expect(placed([{ path: ["a.b", "0"], message: "No." }])).toEqual({ "a.b": { 0: { __errors: ["No."] } } });
});

import { describe, expect, it } from "vitest";

import { completionsAt, type Scope } from "./completions";
import { uiSchemaOf } from "./form-schema";
import { meant, shown } from "./value";

const SCOPE: Scope = {
  input: { properties: { order: { properties: { id: { type: "string" }, lines: { items: { properties: { price: {} } } } } }, name: {} } },
  steps: [{ id: "fetch", output: { properties: { status: {}, body: {} } } }, { id: "order-total", output: null }],
  secrets: ["shop"],
  isInMap: true,
};

/** The caret is where the bar is. */
function offered(text: string, scope = SCOPE): string[] {
  const found = completionsAt(text.replace("|", ""), text.indexOf("|"), scope);
  return (found?.options ?? []).map((option) => option.text);
}

describe("completions", () => {
  it.each([
    ["{{ |", ["input", "steps", "trigger", "run", "secrets", "item", "index"]],
    ["{{ inp|", ["input"]],
    ["{{ input.|", ["order", "name"]],
    ["{{ input.order.|", ["id", "lines"]],
    ["{{ input.order.lines[0].|", ["price"]],
    ["{{ 1 + size(steps.fetch.|", ["output", "status", "error"]],
    ["{{ steps.fetch.output.b|", ["body"]],
    ["{{ steps.|", [".fetch", '["order-total"]']],
    ['{{ steps["order-total"].|', ["output", "status", "error"]],
    ["{{ secrets.s|", ["shop"]],
    ["before {{ input.name }} after |", []],
    ["input.|", []],
    ['{{ "input.|', []],
    ["{{ nothing.|", []],
  ])("%s", (text, wanted) => {
    expect(offered(text)).toEqual(wanted);
  });

  it("replace what was typed of a name, and no more", () => {
    const text = "{{ input.ord }}";
    const found = completionsAt(text, 12, SCOPE);
    expect(text.slice(found?.from, 12)).toBe("ord");
  });

  it("offer no item outside of a map, and no secrets where there are none", () => {
    expect(offered("{{ |", { ...SCOPE, isInMap: false, secrets: [] })).toEqual(["input", "steps", "trigger", "run"]);
  });
});

describe("values", () => {
  it.each([
    ["", false, undefined], ["text", false, "text"], ["7", false, 7], ["7", true, "7"], ["true", false, true], ['{"a": [1]}', false, { a: [1] }],
    ["{{ input.n }}", false, "{{ input.n }}"], ['{"a": ', false, '{"a": '], ["007x", false, "007x"], ['"7"', false, "7"], ["null", false, null],
  ])("%j is, where a text is wanted (%s), %j", (text, wantsText, value) => {
    expect(meant(text, wantsText)).toEqual(value);
  });

  it.each([[undefined, ""], ["x", "x"], [7, "7"], [{ a: 1 }, '{\n  "a": 1\n}'], [null, "null"]])("%j is shown as %j", (value, text) => {
    expect(shown(value)).toBe(text);
  });
});

it("what may be an expression is edited as one; lists of things are the form library's", () => {
  const schema = {
    type: "object", $defs: { Case: { type: "object", properties: { handle: { type: "string" }, when: { type: "boolean" } } } },
    properties: {
      expression: { type: "boolean" }, wait: { type: "boolean", default: true }, method: { enum: ["GET", "POST"] }, headers: { type: "object", additionalProperties: {} }, any: {},
      either: { anyOf: [{ type: "number" }, { type: "string" }] }, form: { type: "object", format: "json-schema" },
      cases: { type: "array", items: { $ref: "#/$defs/Case" } }, items: { type: "array" },
    },
  } as const;
  const edited = uiSchemaOf(structuredClone(schema) as never) as Record<string, Record<string, unknown>>;
  const fields = Object.fromEntries(Object.entries(edited).map(([name, part]) => [name, part["ui:field"]]));
  expect(fields).toMatchObject({ expression: "value", wait: "choice", method: "choice", headers: "map", any: "value", either: "value", form: "schema", items: "value" });
  expect(edited.either?.["ui:fieldReplacesAnyOrOneOf"]).toBe(true); // else it would be there twice
  expect(edited.cases).toMatchObject({ items: { handle: { "ui:field": "value" }, when: { "ui:field": "value" } } });
});

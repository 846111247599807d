import { describe, expect, it } from "vitest";

import { fieldsOf, schemaOf } from "./schema-fields";

const SCHEMA = {
  type: "object", additionalProperties: false,
  properties: {
    amount: { type: "integer", title: "Amount", minimum: 1 }, ok: { type: "boolean" }, how: { type: "string", enum: ["air", "sea"] }, when: { type: "string", format: "date" },
  },
  required: ["ok"],
};

describe("a schema that is put together from fields", () => {
  it("is the same one afterwards, with what fields do not say", () => {
    expect(schemaOf(fieldsOf(SCHEMA) ?? [], SCHEMA)).toEqual(SCHEMA);
  });

  it("is none without a field that has a name", () => {
    expect(fieldsOf(undefined)).toEqual([]);
    expect(schemaOf([{ name: "", title: "x", kind: "text", choices: "", isRequired: true, rest: {} }], undefined)).toBeUndefined();
  });

  it.each([
    true, { type: "array" }, { anyOf: [] }, { type: "object", properties: { a: { type: "array", items: {} } } }, { type: "object", properties: { a: { $ref: "#" } } },
    { type: "object", properties: { a: { type: "string", format: "email" } } }, { type: "object", properties: { a: { enum: [1, 2] } } },
  ])("is JSON where fields cannot say it: %j", (schema) => {
    expect(fieldsOf(schema)).toBeUndefined();
  });
});

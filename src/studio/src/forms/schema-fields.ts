import { isObject } from "../ui/json";

/** The kinds of fields that a form is put together from; everything else is written as JSON. */
export const KINDS = ["text", "number", "whole number", "yes or no", "one of", "date"] as const;
export type Kind = (typeof KINDS)[number];

export interface Field {
  name: string;
  title: string;
  kind: Kind;
  /** Of `one of`. */
  choices: string;
  isRequired: boolean;
  /** What its schema says beside that. */
  rest: Record<string, unknown>;
}

const TYPES: Record<Kind, Record<string, unknown>> = {
  text: { type: "string" }, number: { type: "number" }, "whole number": { type: "integer" }, "yes or no": { type: "boolean" }, "one of": { type: "string" },
  date: { type: "string", format: "date" },
};
const OWN = ["type", "title", "enum", "format"];

/** The fields of a schema; undefined where it says more than fields can. */
export function fieldsOf(schema: unknown): Field[] | undefined {
  if (schema === undefined || schema === null) return [];
  if (!isObject(schema) || (schema.type ?? "object") !== "object") return undefined;
  const { properties = {}, required = [] } = schema;
  if (!isObject(properties) || !Array.isArray(required) || Object.keys(schema).some((key) => !["type", "properties", "required", "additionalProperties", "title", "$schema"].includes(key))) return undefined;
  const fields = Object.entries(properties).map(([name, property]) => fieldOf(name, property, required.includes(name)));
  return fields.every((field) => field !== undefined) ? fields : undefined;
}

function fieldOf(name: string, schema: unknown, isRequired: boolean): Field | undefined {
  if (!isObject(schema)) return undefined;
  const kind = kindOf(schema);
  if (kind === undefined || (schema.title !== undefined && typeof schema.title !== "string")) return undefined;
  const rest = Object.fromEntries(Object.entries(schema).filter(([key]) => !OWN.includes(key)));
  return { name, title: schema.title ?? "", kind, choices: kind === "one of" ? (schema.enum as string[]).join(", ") : "", isRequired, rest };
}

function kindOf({ type, enum: values, format, properties, items }: Record<string, unknown>): Kind | undefined {
  if (properties !== undefined || items !== undefined) return undefined;
  if (values !== undefined) return Array.isArray(values) && values.every((each) => typeof each === "string" && !each.includes(",")) ? "one of" : undefined;
  if (format !== undefined) return type === "string" && format === "date" ? "date" : undefined;
  return KINDS.find((kind) => kind !== "one of" && kind !== "date" && TYPES[kind].type === type);
}

/** The schema of fields, with what it said beside them; undefined where there is none. */
export function schemaOf(fields: readonly Field[], before: unknown): Record<string, unknown> | undefined {
  const named = fields.filter(({ name }) => name !== "");
  if (named.length === 0) return undefined;
  const { properties: _properties, required: _required, ...rest } = isObject(before) ? before : {};
  const properties = named.map(({ name, title, kind, choices, rest: more }) => [name, {
    ...TYPES[kind], ...(title === "" ? {} : { title }), ...(kind === "one of" ? { enum: choicesOf(choices) } : {}), ...more,
  }] as const);
  const required = named.filter(({ isRequired }) => isRequired).map(({ name }) => name);
  return { type: "object", ...rest, properties: Object.fromEntries(properties), ...(required.length === 0 ? {} : { required }) };
}

function choicesOf(text: string): string[] {
  return [...new Set(text.split(",").map((each) => each.trim()).filter((each) => each !== ""))];
}

import type { RJSFSchema, UiSchema } from "@rjsf/utils";

const DEEPEST = 6;

/**
 * Which of our fields a part of a configuration's schema is edited with. Whatever it says that a value has to be, it may be an
 * expression that gives it; so only what has fields or items of its own, or a few values to choose from, is left to the form library.
 */
export function uiSchemaOf(schema: RJSFSchema, root: RJSFSchema = schema, depth = 0): UiSchema {
  const part = resolved(schema, root);
  const field = fieldOf(part);
  if (field !== undefined) return as(field);
  if (depth > DEEPEST) return as("value");
  if (part.properties !== undefined) {
    const properties = Object.entries(part.properties).map(([name, property]) =>
      [name, typeof property === "object" ? uiSchemaOf(property, root, depth + 1) : {}] as const);
    return { ...Object.fromEntries(properties), ...(depth === 0 ? { "ui:options": { label: false } } : {}) };
  }
  if (part.type === "object") return as(depth === 0 ? "value" : "map");
  if (part.type === "array" && typeof part.items === "object" && !Array.isArray(part.items)) return { items: uiSchemaOf(part.items, root, depth + 1) };
  if (part.const !== undefined) return {};
  return as("value");
}

/** The field for what is said by its format or by the few values that there are; one that is true or false is mostly an expression, unless it has a default. */
function fieldOf({ format, type, enum: values, default: standard }: RJSFSchema): string | undefined {
  if (format === "json-schema") return "schema";
  if (format === "workflow-id") return "workflow";
  return values !== undefined || (type === "boolean" && standard !== undefined) ? "choice" : undefined;
}

/** Edited with one of our fields, whatever alternatives its schema has. */
function as(field: string): UiSchema {
  return { "ui:field": field, "ui:fieldReplacesAnyOrOneOf": true, "ui:hideError": true }; // it says itself what is wrong with it
}

function resolved(schema: RJSFSchema, root: RJSFSchema): RJSFSchema {
  const name = /^#\/\$defs\/(.+)$/.exec(schema.$ref ?? "")?.[1];
  const found = name === undefined ? undefined : root.$defs?.[name];
  return typeof found === "object" ? found : schema;
}

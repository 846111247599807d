import type { RJSFSchema, UiSchema } from "@rjsf/utils";

const DEEPEST = 6;

/**
 * Which of our fields a part of a configuration's schema is edited with. Whatever it says that a value has to be, it may be an
 * expression that gives it; so only what has fields or items of its own, or a few values to choose from, is left to the form library.
 */
export function uiSchemaOf(schema: RJSFSchema, root: RJSFSchema = schema, depth = 0): UiSchema {
  const part = resolved(schema, root);
  if (depth > DEEPEST) return { "ui:field": "value" };
  if (part.properties !== undefined) {
    const properties = Object.entries(part.properties).map(([name, property]) =>
      [name, typeof property === "object" ? uiSchemaOf(property, root, depth + 1) : {}] as const);
    return { ...Object.fromEntries(properties), ...(depth === 0 ? { "ui:options": { label: false } } : {}) };
  }
  if (part.type === "object") return { "ui:field": depth === 0 ? "value" : "map" };
  if (part.type === "array" && typeof part.items === "object" && !Array.isArray(part.items)) return { items: uiSchemaOf(part.items, root, depth + 1) };
  if (part.enum !== undefined || part.const !== undefined) return {};
  return { "ui:field": "value" };
}

function resolved(schema: RJSFSchema, root: RJSFSchema): RJSFSchema {
  const name = /^#\/\$defs\/(.+)$/.exec(schema.$ref ?? "")?.[1];
  const found = name === undefined ? undefined : root.$defs?.[name];
  return typeof found === "object" ? found : schema;
}

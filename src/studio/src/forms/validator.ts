import { ErrorSchemaBuilder, type FormContextType, type RJSFSchema, type RJSFValidationError, type ValidationData, type ValidatorType } from "@rjsf/utils";

import { type Fault, faultsOf } from "./faults";
import { plain } from "./plain";

const KEPT = ["$defs", "definitions"] as const;

function validated(schema: RJSFSchema, value: unknown): Fault[] {
  try {
    return faultsOf(schema, plain(value) ?? {});
  } catch (error) {
    return [{ path: [], keyword: "schema", message: `The form's schema cannot be used: ${error instanceof Error ? error.message : "unknown"}` }];
  }
}

function listed({ path, keyword, message }: Fault): RJSFValidationError {
  return { name: keyword, message, stack: message, property: path.map((key) => `.${key}`).join("") };
}

/** What faults are for the form: each at its field. */
export function placed(faults: readonly Pick<Fault, "path" | "message">[]): ValidationData<unknown>["errorSchema"] {
  const builder = new ErrorSchemaBuilder();
  for (const { path, message } of faults) builder.addErrors(message, path);
  return builder.ErrorSchema;
}

const complete = new WeakMap<RJSFSchema, WeakMap<RJSFSchema, RJSFSchema>>();

/** A part of a schema, with the definitions that it refers to. */
function completed(part: RJSFSchema, root: RJSFSchema): RJSFSchema {
  const parts = complete.get(root) ?? new WeakMap<RJSFSchema, RJSFSchema>();
  complete.set(root, parts);
  let whole = parts.get(part);
  if (whole === undefined) {
    whole = { ...part };
    for (const name of KEPT) if (root[name] !== undefined) whole[name] ??= root[name];
    parts.set(part, whole);
  }
  return whole;
}

/** The form library's validator, without compiling anything. */
export const VALIDATOR: ValidatorType<unknown, RJSFSchema, FormContextType> = {
  validateFormData(value, schema) {
    const faults = validated(schema, value);
    return { errors: faults.map(listed), errorSchema: placed(faults) };
  },
  isValid: (schema, value, root) => validated(completed(schema, root), value).length === 0,
  rawValidation: () => ({ errors: [] }),
};

import Form from "@rjsf/core/lib/components/Form.js"; // not the index, which wants the validator of its tests
import type { RJSFSchema } from "@rjsf/utils";
import { useId, useMemo } from "react";

import { FormBoundary } from "../forms/boundary";
import { pathOf } from "../forms/faults";
import { TEMPLATES } from "../forms/templates";
import { placed, VALIDATOR } from "../forms/validator";
import { FIELDS } from "./fields";
import { uiSchemaOf } from "./form-schema";
import "../forms/forms.css";

interface ConfigFormProps {
  schema: object;
  config: Record<string, unknown>;
  /** What the server says is wrong in `/data/config`. */
  issues: readonly { path?: string | null; message: string }[];
  isReadOnly: boolean;
  onChange: (config: Record<string, unknown>) => void;
}

const AT = "/data/config";
const NO_DEFAULTS = { emptyObjectFields: "skipDefaults", allOf: "skipDefaults" } as const;

/** The form of a step's configuration, made of the schema that the catalog has of it. */
export function ConfigForm({ schema, config, issues, isReadOnly, onChange }: ConfigFormProps) {
  const id = useId();
  const formSchema = useMemo(() => withoutName(schema), [schema]);
  const uiSchema = useMemo(() => uiSchemaOf(formSchema), [formSchema]);
  const wrong = useMemo(() => placed(issues.flatMap(({ path, message }) =>
    typeof path === "string" && (path === AT || path.startsWith(`${AT}/`)) ? [atItsField(pathOf(path.slice(AT.length)), message)] : [])), [issues]);
  if (Object.keys(formSchema.properties ?? {}).length === 0) return <p className="note">This step needs no configuration.</p>;
  return (
    <FormBoundary onFailed={() => undefined}>
      <Form<unknown>
        tagName="div" className="schema-form" idPrefix={`config-${id}`} schema={formSchema} uiSchema={uiSchema} formData={config}
        validator={VALIDATOR} templates={TEMPLATES} fields={FIELDS} extraErrors={wrong} readonly={isReadOnly} noHtml5Validate showErrorList={false}
        useFallbackUiForUnsupportedType experimental_defaultFormStateBehavior={NO_DEFAULTS}
        onChange={({ formData }) => onChange(chosen(formData, config))}
      >
        <></>
      </Form>
    </FormBoundary>
  );
}

/** What is missing is said where it would be. */
function atItsField(path: string[], message: string): { path: string[]; message: string } {
  const missing = /^"(.+)" is a required property/.exec(message)?.[1];
  return missing === undefined ? { path, message } : { path: [...path, missing], message: "It is required." };
}

/** The form's title would be the name of a class. */
function withoutName(schema: object): RJSFSchema {
  const { title: _title, description: _description, $schema: _dialect, ...rest } = schema as RJSFSchema;
  return rest;
}

/** Without what was emptied; keys that the schema does not know stay. */
function chosen(formData: unknown, before: Record<string, unknown>): Record<string, unknown> {
  const now = Object.fromEntries(Object.entries((formData ?? {}) as Record<string, unknown>).filter(([, value]) => value !== undefined));
  return JSON.stringify(now) === JSON.stringify(before) ? before : now;
}

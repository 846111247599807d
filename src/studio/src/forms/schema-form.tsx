import Form from "@rjsf/core/lib/components/Form.js"; // not the index, which wants the validator of its tests
import type { RJSFSchema, UiSchema } from "@rjsf/utils";
import { type ReactNode, useId, useMemo } from "react";

import { pathOf } from "./faults";
import { EXACT_FIELDS } from "./number-field";
import { TEMPLATES } from "./templates";
import { placed, VALIDATOR } from "./validator";
import "./forms.css";

/** Something that the server says is wrong; `path` is a JSON pointer. */
export interface Said {
  path?: string | null;
  message: string;
}

interface SchemaFormProps {
  schema: RJSFSchema;
  uiSchema?: UiSchema;
  value: unknown;
  onChange: (value: unknown) => void;
  onSubmit?: (value: unknown) => void;
  /** What the server says is wrong with it, and the pointer under which it knows the value. */
  issues?: readonly Said[];
  at?: string;
  /** The buttons. */
  children: ReactNode;
}

const DEFAULTS_STATE = { emptyObjectFields: "skipEmptyDefaults" } as const;

/** A form for a JSON Schema, checked against it when it is sent. */
export function SchemaForm({ schema, uiSchema = {}, value, onChange, onSubmit, issues, at = "", children }: SchemaFormProps) {
  const prefix = useId();
  const said = useMemo(() => placed((issues ?? []).flatMap((issue) => {
    const { path } = issue;
    return typeof path === "string" && (path === at || path.startsWith(`${at}/`)) ? [{ path: pathOf(path.slice(at.length)), message: issue.message }] : [];
  })), [issues, at]);
  return (
    <Form<unknown>
      className="schema-form" idPrefix={prefix} schema={schema} uiSchema={uiSchema} formData={value} validator={VALIDATOR} templates={TEMPLATES} fields={EXACT_FIELDS}
      extraErrors={said} noHtml5Validate showErrorList={false} focusOnFirstError useFallbackUiForUnsupportedType
      experimental_defaultFormStateBehavior={DEFAULTS_STATE}
      onError={() => undefined} // they are at their fields
      onChange={({ formData }) => onChange(formData)} onSubmit={({ formData }) => onSubmit?.(formData)}
    >
      {children}
    </Form>
  );
}

/** Whether a form says more than a text field for JSON does. */
export function hasFields(schema: object | null | undefined): schema is RJSFSchema {
  if (schema === null || schema === undefined) return false;
  return ["properties", "$ref", "allOf", "anyOf", "oneOf"].some((keyword) => Object.keys(Object.entries(schema).find(([key]) => key === keyword)?.[1] as object | undefined ?? {}).length > 0);
}

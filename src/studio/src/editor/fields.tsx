import { errorId, type FieldProps, type RegistryFieldsType } from "@rjsf/utils";
import { Plus, X } from "lucide-react";
import { type ReactNode, useMemo, useState } from "react";

import { SchemaEditor } from "../forms/schema-editor";
import { Prose } from "../ui/prose";
import { Choice, type Option } from "./choice";
import { ExpressionInput } from "./expression-input";
import { meant, shown } from "./value";
import { WorkflowChoice } from "./workflow-field";

/** A value of any kind, or an expression that gives it. */
function ValueField({ schema, formData, onChange, fieldPathId, name, required, rawErrors, errorSchema, disabled, readonly }: FieldProps<unknown>) {
  const id = fieldPathId.$id;
  const errors = rawErrors ?? errorSchema?.__errors ?? [];
  const [text, setText] = useText(formData);
  const wantsText = schema.type === "string";
  return (
    <Labelled id={id} errorId={errorId(fieldPathId)} name={schema.title ?? name} description={schema.description} isRequired={required === true} errors={errors}>
      <ExpressionInput
        id={id} value={text} isInvalid={errors.length > 0} isDisabled={disabled === true || readonly === true}
        describedBy={`${id}__description ${errorId(fieldPathId)}`} placeholder={exampleOf(schema)}
        onChange={(next) => {
          setText(next);
          onChange(meant(next, wantsText), fieldPathId.path);
        }}
      />
    </Labelled>
  );
}

interface LabelledProps {
  id: string;
  errorId: string;
  name: string;
  description: string | undefined;
  isRequired: boolean;
  errors: readonly string[];
  children: ReactNode;
}

function Labelled({ id, errorId: errorsId, name, description, isRequired, errors, children }: LabelledProps) {
  return (
    <div className="field">
      <label htmlFor={id} className="control-label">{name}{isRequired && <span className="required">*</span>}</label>
      {description !== undefined && <p id={`${id}__description`} className="field-description"><Prose text={description} /></p>}
      {children}
      <Errors id={errorsId} errors={errors} />
    </div>
  );
}

const YES_NO: readonly Option[] = [{ value: true, says: "yes" }, { value: false, says: "no" }];

/** One of a few values, of which the schema says all, or the server: its published workflows. */
function chosen(isWorkflow: boolean) {
  return function ChosenField({ schema, formData, onChange, fieldPathId, name, required, rawErrors, errorSchema, disabled, readonly }: FieldProps<unknown>) {
    const id = fieldPathId.$id;
    const errors = rawErrors ?? errorSchema?.__errors ?? [];
    const options = useMemo(() => (schema.enum === undefined ? YES_NO : schema.enum.map((value): Option => ({ value, says: shown(value) }))), [schema.enum]);
    const common = {
      id, value: formData, isInvalid: errors.length > 0, isDisabled: disabled === true || readonly === true, describedBy: `${id}__description ${errorId(fieldPathId)}`,
      onChange: (value: unknown) => onChange(value, fieldPathId.path),
    };
    return (
      <Labelled id={id} errorId={errorId(fieldPathId)} name={schema.title ?? name} description={schema.description} isRequired={required === true} errors={errors}>
        {isWorkflow ? <WorkflowChoice {...common} /> : <Choice {...common} options={options} standard={schema.default} />}
      </Labelled>
    );
  };
}

/** What a form asks for. */
function SchemaField({ schema, formData, onChange, fieldPathId, name, errorSchema, disabled, readonly }: FieldProps<unknown>) {
  const label = schema.title ?? name;
  return (
    <fieldset className="map-field">
      <legend className="control-label">{label}</legend>
      <SchemaEditor label={label} schema={formData} isDisabled={disabled === true || readonly === true} onChange={(next) => onChange(next, fieldPathId.path)} />
      <Errors id={errorId(fieldPathId)} errors={[...(errorSchema?.__errors ?? []), ...below(errorSchema)]} />
    </fieldset>
  );
}

/** Names with their values. */
function MapField({ schema, formData, onChange, fieldPathId, name, disabled, readonly, errorSchema }: FieldProps<unknown>) {
  const id = fieldPathId.$id;
  const isFixed = disabled === true || readonly === true;
  const [rows, setRows] = useState(() => rowsOf(formData));
  const [seen, setSeen] = useState(formData);
  if (seen !== formData) {
    setSeen(formData);
    if (JSON.stringify(objectOf(rows)) !== JSON.stringify(formData ?? {})) setRows(rowsOf(formData));
  }
  if (formData !== undefined && (typeof formData !== "object" || formData === null || Array.isArray(formData))) {
    return <ValueField {...({ schema, formData, onChange, fieldPathId, name, disabled, readonly, errorSchema } as FieldProps<unknown>)} />;
  }
  const change = (next: Row[]) => {
    setRows(next);
    const object = objectOf(next);
    setSeen(object);
    onChange(Object.keys(object).length === 0 ? undefined : object, fieldPathId.path);
  };
  const label = schema.title ?? name;
  return (
    <fieldset className="map-field" id={id}>
      <legend className="control-label">{label}</legend>
      {schema.description !== undefined && <p className="field-description"><Prose text={schema.description} /></p>}
      {rows.map((row, index) => (
        <div className="map-row" key={row.key}>
          <input
            aria-label={`${label}: name ${index + 1}`} value={row.name} disabled={isFixed} spellCheck={false} placeholder="name"
            onChange={({ currentTarget }) => change(rows.with(index, { ...row, name: currentTarget.value }))}
          />
          <ExpressionInput
            id={`${id}-${row.key}`} label={`${label}: value of ${row.name || index + 1}`} value={row.text} isDisabled={isFixed} placeholder="value or {{ expression }}"
            onChange={(text) => change(rows.with(index, { ...row, text }))}
          />
          <button type="button" disabled={isFixed} aria-label={`Remove ${row.name || `row ${index + 1}`}`} onClick={() => change(rows.toSpliced(index, 1))}><X size={14} aria-hidden="true" /></button>
        </div>
      ))}
      <button type="button" disabled={isFixed} onClick={() => setRows([...rows, newRow()])}><Plus size={14} aria-hidden="true" /> Add to {label.toLowerCase()}</button>
      <Errors id={errorId(fieldPathId)} errors={[...(errorSchema?.__errors ?? []), ...below(errorSchema)]} />
    </fieldset>
  );
}

interface Row {
  key: string;
  name: string;
  text: string;
}

let rowsMade = 0;
function newRow(name = "", value?: unknown): Row {
  rowsMade += 1;
  return { key: `row-${rowsMade}`, name, text: typeof value === "string" && meant(value, false) !== value ? JSON.stringify(value) : shown(value) };
}

function rowsOf(value: unknown): Row[] {
  return typeof value === "object" && value !== null ? Object.entries(value).map(([name, each]) => newRow(name, each)) : [];
}

function objectOf(rows: readonly Row[]): Record<string, unknown> {
  return Object.fromEntries(rows.filter(({ name }) => name !== "").map(({ name, text }) => [name, meant(text, false) ?? ""]));
}

/** What is typed, until the value changes from outside. */
function useText(value: unknown): [string, (text: string) => void] {
  const [text, setText] = useState(() => shown(value));
  const [seen, setSeen] = useState(value);
  if (seen !== value) {
    setSeen(value);
    if (JSON.stringify(meant(text, typeof value === "string")) !== JSON.stringify(value)) setText(shown(value));
  }
  return [text, setText];
}

function Errors({ id, errors }: { id: string; errors: readonly string[] }) {
  return <ul id={id} className="field-errors problem" aria-live="polite">{errors.map((error) => <li key={error}>{error}</li>)}</ul>;
}

function below(errors: unknown): string[] {
  if (typeof errors !== "object" || errors === null) return [];
  return Object.entries(errors).flatMap(([name, each]) => {
    if (name === "__errors" || typeof each !== "object" || each === null) return [];
    const own = (each as { __errors?: string[] }).__errors ?? [];
    return [...own.map((error) => `${name}: ${error}`), ...below(each)];
  });
}

/** What counts where nothing is given; else an example. */
function exampleOf({ examples, default: standard }: { examples?: unknown; default?: unknown }): string | undefined {
  if (typeof standard === "number") return shown(standard);
  const [first] = Array.isArray(examples) ? (examples as unknown[]) : [];
  return first === undefined ? undefined : shown(first);
}

export const FIELDS: RegistryFieldsType<unknown> = { value: ValueField, map: MapField, choice: chosen(false), workflow: chosen(true), schema: SchemaField };

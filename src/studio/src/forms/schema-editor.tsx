import { Plus, X } from "lucide-react";
import { useState } from "react";

import { writeJson } from "../ui/exact";
import { JsonField, jsonObject, jsonObjectFault } from "../ui/json-field";
import { type Field, fieldsOf, KINDS, schemaOf } from "./schema-fields";
import "./forms.css";

interface SchemaEditorProps {
  label: string;
  /** A JSON Schema of an object; undefined takes any. */
  schema: unknown;
  isDisabled: boolean;
  onChange: (schema: Record<string, unknown> | undefined) => void;
}

/** Puts together what a form asks for: field by field, or as JSON Schema for all that fields cannot say. */
export function SchemaEditor({ label, schema, isDisabled, onChange }: SchemaEditorProps) {
  const [rows, setRows] = useState(() => rowsOf(schema));
  const [seen, setSeen] = useState(schema);
  const [text, setText] = useState(() => textOf(schema));
  const [isJson, setIsJson] = useState(rows === undefined);
  if (seen !== schema) { // changed from outside, or undone
    setSeen(schema);
    if (textOf(schema) !== textOf(seen)) {
      setRows(rowsOf(schema));
      setText(textOf(schema));
      if (rowsOf(schema) === undefined) setIsJson(true);
    }
  }
  const give = (next: Record<string, unknown> | undefined) => {
    setSeen(next);
    onChange(next);
  };
  const change = (next: Row[]) => {
    setRows(next);
    const made = schemaOf(next, schema);
    setText(textOf(made));
    give(made);
  };
  const write = (next: string) => {
    setText(next);
    if (next.trim() !== "" && jsonObjectFault(next) !== undefined) return;
    const made = next.trim() === "" ? undefined : jsonObject(next);
    setRows(rowsOf(made));
    give(made);
  };
  return (
    <div className="schema-editor">
      <div className="form-kinds row" role="group" aria-label={`${label}: edit as`}>
        <button type="button" aria-pressed={!isJson} disabled={rows === undefined} onClick={() => setIsJson(false)}>Fields</button>
        <button type="button" aria-pressed={isJson} onClick={() => setIsJson(true)}>JSON Schema</button>
      </div>
      {isJson || rows === undefined
        ? isDisabled ? <pre tabIndex={0}>{text}</pre> : <JsonField label={`${label} (JSON Schema)`} rows={10} value={text} isOptional onChange={write} />
        : <Fields label={label} rows={rows} isDisabled={isDisabled} onChange={change} />}
    </div>
  );
}

interface Row extends Field {
  key: number;
}

let rowsMade = 0;
function rowOf(field: Field): Row {
  rowsMade += 1;
  return { ...field, key: rowsMade };
}

function rowsOf(schema: unknown): Row[] | undefined {
  return fieldsOf(schema)?.map(rowOf);
}

function textOf(schema: unknown): string {
  return schema === undefined || schema === null ? "" : writeJson(schema, 2);
}

function Fields({ label, rows, isDisabled, onChange }: { label: string; rows: readonly Row[]; isDisabled: boolean; onChange: (rows: Row[]) => void }) {
  const set = (index: number, changed: Partial<Field>) => onChange(rows.map((row, at) => (at === index ? { ...row, ...changed } : row)));
  return (
    <fieldset className="schema-fields" disabled={isDisabled}>
      <legend className="visually-hidden">{label}</legend>
      {rows.map(({ key, name, title, kind, choices, isRequired }, index) => {
        const which = `${label}, field ${index + 1}`;
        const isTwice = name !== "" && rows.some((other, at) => at < index && other.name === name);
        return (
          <div className="schema-field" key={key}>
            <div className="schema-field-row">
              <input aria-label={`${which}: name`} className="mono" placeholder="name" spellCheck={false} value={name} aria-invalid={isTwice} onChange={({ currentTarget }) => set(index, { name: currentTarget.value.trim() })} />
              <select aria-label={`${which}: kind`} value={kind} onChange={({ currentTarget }) => set(index, { kind: KINDS[currentTarget.selectedIndex] ?? "text" })}>
                {KINDS.map((each) => <option key={each}>{each}</option>)}
              </select>
              <button type="button" aria-label={`Remove ${name || `field ${index + 1}`}`} onClick={() => onChange(rows.filter((_, at) => at !== index))}><X size={14} aria-hidden="true" /></button>
            </div>
            <div className="schema-field-row">
              <input aria-label={`${which}: what it is called`} placeholder="what people read" value={title} onChange={({ currentTarget }) => set(index, { title: currentTarget.value })} />
              <label><input type="checkbox" checked={isRequired} onChange={({ currentTarget }) => set(index, { isRequired: currentTarget.checked })} /> required</label>
            </div>
            {kind === "one of" && <input aria-label={`${which}: choices, with commas between`} placeholder="red, green, blue" value={choices} onChange={({ currentTarget }) => set(index, { choices: currentTarget.value })} />}
            {isTwice && <p className="problem">Another field has this name.</p>}
          </div>
        );
      })}
      <button type="button" onClick={() => onChange([...rows, rowOf({ name: "", title: "", kind: "text", choices: "", isRequired: false, rest: {} })])}><Plus size={14} aria-hidden="true" /> Add a field</button>
    </fieldset>
  );
}

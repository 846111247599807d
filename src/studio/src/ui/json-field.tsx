import { useId } from "react";

import { isObject, readJson } from "./json";

interface JsonFieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  rows?: number;
  /** Nothing at all will do as well. */
  isOptional?: boolean;
}

/** What is wrong with a text that has to be a JSON object. */
export function jsonObjectFault(text: string): string | undefined {
  const read = readJson(text);
  if (!read.ok) return `Line ${read.line}, column ${read.column}: ${read.message}`;
  return isObject(read.value) ? undefined : "It has to be an object: { … }.";
}

/** The object that a text without fault is. */
export function jsonObject(text: string): Record<string, unknown> {
  const read = readJson(text);
  return read.ok && isObject(read.value) ? read.value : {};
}

/** A text area for a JSON object, which says where it is wrong. */
export function JsonField({ label, value, onChange, rows = 6, isOptional = false }: JsonFieldProps) {
  const id = useId();
  const fault = isOptional && value.trim() === "" ? undefined : jsonObjectFault(value);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <textarea
        id={id} className="mono" rows={rows} spellCheck={false} value={value} aria-invalid={fault !== undefined} aria-describedby={`${id}-fault`}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
      <p id={`${id}-fault`} className="problem" aria-live="polite">{fault}</p>
    </div>
  );
}

import { type ReactNode, type SubmitEvent, useState } from "react";

import { writeJson } from "../ui/exact";
import { readJson } from "../ui/json";
import { jsonObjectFault, JsonField } from "../ui/json-field";
import { plainObject } from "./plain";
import { FormBoundary } from "./boundary";
import { hasFields, type Said, SchemaForm } from "./schema-form";

interface DataFormProps {
  /** What is asked for; null takes any object. */
  schema: object | null;
  label: string;
  issues?: readonly Said[];
  /** Where the server says that the data is: `/input`. */
  at: string;
  initial?: Record<string, unknown>;
  onSubmit: (data: Record<string, unknown>) => void;
  /** The buttons; one of them submits. */
  children: ReactNode;
}

/** Asks for an object: with fields where its schema has any, or as JSON, which is the way for everything else. */
export default function DataForm({ schema, label, issues, at, initial = {}, onSubmit, children }: DataFormProps) {
  const canBeForm = hasFields(schema);
  const [isForm, setIsForm] = useState(canBeForm);
  const [value, setValue] = useState<unknown>(initial);
  const [text, setText] = useState(() => writeJson(initial, 2));

  const change = (toForm: boolean) => {
    if (toForm) {
      const read = readJson(text);
      if (read.ok) setValue(read.value);
    } else {
      setText(writeJson(plainObject(value), 2));
    }
    setIsForm(toForm);
  };
  const submitText = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const read = readJson(text);
    if (read.ok && jsonObjectFault(text) === undefined) onSubmit(plainObject(read.value));
  };

  return (
    <>
      {canBeForm && (
        <div className="form-kinds row" role="group" aria-label="Fill in as">
          <button type="button" aria-pressed={isForm} onClick={() => change(true)} disabled={!isForm && jsonObjectFault(text) !== undefined}>Form</button>
          <button type="button" aria-pressed={!isForm} onClick={() => change(false)}>JSON</button>
        </div>
      )}
      {isForm && canBeForm ? (
        <FormBoundary onFailed={() => change(false)}>
          <SchemaForm schema={schema} value={value} onChange={setValue} onSubmit={(data) => onSubmit(plainObject(data))} issues={issues ?? []} at={at}>
            {children}
          </SchemaForm>
        </FormBoundary>
      ) : (
        <form onSubmit={submitText}>
          <JsonField label={label} value={text} onChange={setText} rows={10} />
          {children}
        </form>
      )}
    </>
  );
}

import { useState } from "react";

import { Dialog, DialogActions } from "../ui/dialog";
import { readJson } from "../ui/json";
import { JsonField, jsonObject, jsonObjectFault } from "../ui/json-field";
import { useDocument, useEditing } from "./context";
import type { Settings } from "./store";

/** What holds for the workflow as a whole. */
export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const { store, isReadOnly } = useEditing();
  const settings = useDocument((state) => state.settings);
  const [schema, setSchema] = useState(() => (settings.input_schema === null ? "" : JSON.stringify(settings.input_schema, null, 2)));
  const set = (changed: Partial<Settings>) => store.getState().change({ settings: { ...store.getState().settings, ...changed } }, Object.keys(changed).join());
  return (
    <Dialog title="Workflow settings" onClose={onClose}>
      <fieldset disabled={isReadOnly} className="plain">
        <label className="field">Name <input value={settings.name} maxLength={200} required onChange={({ currentTarget: { value } }) => set({ name: value })} /></label>
        <label className="field">Description <textarea rows={3} maxLength={10_000} value={settings.description} onChange={({ currentTarget: { value } }) => set({ description: value })} /></label>
        <label className="field">Priority
          <select value={settings.priority} onChange={({ currentTarget: { value } }) => set({ priority: value as Settings["priority"] })}>
            <option value="low">low</option><option value="normal">normal</option><option value="high">high</option>
          </select>
        </label>
        <label className="field">Runs at once
          <input
            type="number" min={1} max={1000} value={settings.concurrency_limit ?? ""} placeholder="no limit"
            onChange={({ currentTarget: { value } }) => set({ concurrency_limit: value === "" ? null : Math.max(1, Math.min(1000, Math.round(Number(value)))) })}
          />
        </label>
        {schema === "" ? <button type="button" onClick={() => setSchema(EXAMPLE)}>Say what input it takes</button> : (
          <>
            <JsonField
              label="Input schema (JSON Schema)" rows={10} value={schema}
              onChange={(text) => {
                setSchema(text);
                if (text === "" || jsonObjectFault(text) === undefined) set({ input_schema: text === "" ? null : jsonObject(text) });
              }}
            />
            <button type="button" onClick={() => {
              setSchema("");
              set({ input_schema: null });
            }}>Take any input</button>
          </>
        )}
      </fieldset>
      <DialogActions>
        {readJson(schema).ok && settings.input_schema === null && schema === EXAMPLE && !isReadOnly && <button type="button" onClick={() => set({ input_schema: jsonObject(schema) })}>Use this schema</button>}
        <button type="button" className="primary" onClick={onClose}>Done</button>
      </DialogActions>
    </Dialog>
  );
}

const EXAMPLE = JSON.stringify({ type: "object", properties: { name: { type: "string", title: "Name" } }, required: ["name"] }, null, 2);

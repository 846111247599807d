import { SchemaEditor } from "../forms/schema-editor";
import { Dialog, DialogActions } from "../ui/dialog";
import { useDocument, useEditing } from "./context";
import type { Settings } from "./store";

/** What holds for the workflow as a whole. */
export function SettingsDialog({ onClose }: { onClose: () => void }) {
  const { store, isReadOnly } = useEditing();
  const settings = useDocument((state) => state.settings);
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
      </fieldset>
      <section aria-labelledby="input-of-runs">
        <h3 id="input-of-runs">Input of its runs</h3>
        <p className="note">Runs are asked for these fields, and are refused with anything else. Without any, they take every input.</p>
        <SchemaEditor label="Input" schema={settings.input_schema ?? undefined} isDisabled={isReadOnly} onChange={(schema) => set({ input_schema: schema ?? null })} />
      </section>
      <DialogActions>
        <button type="button" className="primary" onClick={onClose}>Done</button>
      </DialogActions>
    </Dialog>
  );
}

import { useState } from "react";

import type { Catalog } from "../graph/catalog";
import { DEFAULT_HANDLE, type FlowNode, outputsOf, stepTypeOf, textOf } from "../graph/definition";
import { Dialog, DialogActions } from "../ui/dialog";
import { useDocument, useEditing } from "./context";
import { canConnect, edgeOf } from "./edit";

/** Connect a step to another one without a mouse. */
export function ConnectDialog({ node, catalog, onClose }: { node: FlowNode; catalog: Catalog; onClose: () => void }) {
  const { store } = useEditing();
  const nodes = useDocument((state) => state.nodes);
  const outputs = outputsOf(catalog.get(stepTypeOf(node)), node.data);
  const [handle, setHandle] = useState(outputs[0] ?? DEFAULT_HANDLE);
  const targets = nodes.filter(({ id }) => canConnect(store.getState(), catalog, { source: node.id, sourceHandle: handle, target: id }));
  const [chosen, setChosen] = useState<string>();
  const target = targets.find(({ id }) => id === chosen) ?? targets[0];
  return (
    <Dialog title={`Connect ${textOf(node.data.label) ?? node.id}`} onClose={onClose}>
      <form onSubmit={(event) => {
        event.preventDefault();
        const { edges, change } = store.getState();
        if (target !== undefined) change({ edges: [...edges, edgeOf(node.id, handle, target.id, edges)] });
        onClose();
      }}>
        <label className="field">From
          <select value={handle} onChange={({ currentTarget }) => setHandle(currentTarget.value)}>{outputs.map((each) => <option key={each}>{each}</option>)}</select>
        </label>
        <label className="field">To
          <select value={target?.id ?? ""} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
            {targets.map(({ id, data }) => <option key={id} value={id}>{textOf(data.label) ?? id} ({id})</option>)}
          </select>
        </label>
        {targets.length === 0 && <p className="note">There is no step that it could lead to.</p>}
        <DialogActions>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={target === undefined}>Connect</button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

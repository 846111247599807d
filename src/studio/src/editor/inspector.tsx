import { useQuery } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import { lazy, Suspense, useId, useMemo, useState } from "react";

import { answer, useClient } from "../api/client";
import type { Catalog } from "../graph/catalog";
import { type FlowNode, isDecoration, type StepData, stepTypeOf, textOf } from "../graph/definition";
import { writeJson } from "../ui/exact";
import { JsonField, jsonObject, jsonObjectFault } from "../ui/json-field";
import { isObject } from "../ui/json";
import { Loading } from "../ui/loading";
import { Prose } from "../ui/prose";
import type { Scope } from "./completions";
import { useDocument, useEditing } from "./context";
import { removeSelected, rename, upstream } from "./edit";
import { ScopeContext } from "./expression-input";
import { StepRules } from "./step-rules";

/** Asked for when the editor opens, so that it is there even if the connection is not by then. */
export const loadForms = () => import("./config-form");
const ConfigForm = lazy(async () => ({ default: (await loadForms()).ConfigForm }));

/** What can be said about the selected step, which stays the same one when it is given another id. */
export function Inspector({ node, catalog, onRenamed }: { node: FlowNode; catalog: Catalog; onRenamed: (id: string) => void }) {
  const { store, isReadOnly, issues } = useEditing();
  const [isRaw, setIsRaw] = useState(false);
  const scope = useScope(node, catalog);
  const own = useMemo(() => issues.filter(({ node_id }) => node_id === node.id), [issues, node.id]);
  const placeless = isRaw ? own : own.filter(({ path }) => path?.startsWith("/data/config") !== true); // the form says the others
  const type = catalog.get(stepTypeOf(node));
  const change = (data: StepData) => {
    const state = store.getState();
    state.change({ nodes: state.nodes.map((each) => (each.id === node.id ? { ...each, data } : each)) }, `data of ${node.id}`);
  };
  return (
    <section className="inspector" aria-label="Selected step">
      <h2>{type?.title ?? stepTypeOf(node)}</h2>
      {type !== undefined && <p className="note"><Prose text={type.description} /></p>}
      {placeless.length > 0 && <ul className="problem" aria-label="What is wrong">{placeless.map(({ message, path }, index) => <li key={index}><Prose text={message} /> {placeIn(path) !== "" && <code>{placeIn(path)}</code>}</li>)}</ul>}
      <div className="form-kinds row" role="group" aria-label="Edit as">
        <button type="button" aria-pressed={!isRaw} onClick={() => setIsRaw(false)}>Form</button>
        <button type="button" aria-pressed={isRaw} onClick={() => setIsRaw(true)}>JSON</button>
      </div>
      {isRaw ? <Raw data={node.data} isReadOnly={isReadOnly} onChange={change} /> : (
        <ScopeContext value={scope}>
          <Names node={node} onChange={change} onRenamed={onRenamed} />
          {isDecoration(node) ? null : type === undefined ? <p className="problem">There is no step type “{stepTypeOf(node)}” here. A plug-in may be missing.</p> : (
            <>
              <Suspense fallback={<Loading />}>
                <ConfigForm
                  schema={type.config_schema} config={isObject(node.data.config) ? node.data.config : {}} issues={own} isReadOnly={isReadOnly}
                  onChange={(config) => {
                    if (config !== node.data.config) change({ ...node.data, config });
                  }}
                />
              </Suspense>
              {type.kind !== "trigger" && <StepRules data={node.data} isReadOnly={isReadOnly} onChange={change} />}
            </>
          )}
        </ScopeContext>
      )}
      {!isReadOnly && (
        <button type="button" className="danger" onClick={() => store.getState().change(removeSelected(store.getState()))}><Trash2 size={14} aria-hidden="true" /> Delete step</button>
      )}
    </section>
  );
}

/** Where in the form it is: `values.total`. */
function placeIn(path: string | null): string {
  return (path ?? "").replace(/^\/data(\/config)?\/?/, "").replaceAll("/", ".");
}

function Names({ node, onChange, onRenamed }: { node: FlowNode; onChange: (data: StepData) => void; onRenamed: (id: string) => void }) {
  const { store, isReadOnly } = useEditing();
  const [id, setId] = useState(node.id);
  const faultId = useId();
  const nodes = useDocument((state) => state.nodes);
  const fault = id === "" ? "It needs an id." : id !== node.id && nodes.some((each) => each.id === id) ? "Another step has this id." : undefined;
  const apply = () => {
    if (fault !== undefined || id === node.id) {
      setId(node.id);
      return;
    }
    onRenamed(id);
    store.getState().change(rename(store.getState(), node.id, id));
  };
  const isNote = isDecoration(node);
  const text = isNote && node.type !== "group" ? "text" : "label";
  return (
    <>
      <label className="field">{isNote ? "Text" : "Label"}
        {isNote ? <textarea rows={4} disabled={isReadOnly} value={textOf(node.data[text]) ?? ""} onChange={({ currentTarget }) => onChange({ ...node.data, [text]: currentTarget.value })} />
          : <input disabled={isReadOnly} value={textOf(node.data.label) ?? ""} onChange={({ currentTarget }) => onChange({ ...node.data, label: currentTarget.value })} />}
      </label>
      {!isNote && (
        <label className="field">Id, by which expressions name it
          <input
            className="mono" value={id} disabled={isReadOnly} spellCheck={false} maxLength={200} aria-invalid={fault !== undefined} aria-describedby={faultId}
            onChange={({ currentTarget }) => setId(currentTarget.value)} onBlur={apply}
            onKeyDown={({ key }) => {
              if (key === "Enter") apply();
            }}
          />
          <span id={faultId} className="problem" role="status">{fault}</span>
        </label>
      )}
    </>
  );
}

function Raw({ data, isReadOnly, onChange }: { data: StepData; isReadOnly: boolean; onChange: (data: StepData) => void }) {
  const [text, setText] = useState(() => writeJson(data, 2));
  if (isReadOnly) return <pre tabIndex={0}>{text}</pre>;
  return (
    <JsonField
      label="data" rows={18} value={text}
      onChange={(next) => {
        setText(next);
        if (jsonObjectFault(next) === undefined) onChange(jsonObject(next));
      }}
    />
  );
}

/** What the expressions of a step can name. */
function useScope(node: FlowNode, catalog: Catalog): Scope {
  const client = useClient();
  const { store } = useEditing();
  const input = useDocument((state) => state.settings.input_schema);
  const edges = useDocument((state) => state.edges);
  const { data: secrets } = useQuery({
    queryKey: ["secrets", "names"], queryFn: async () => (await answer(client.GET("/api/v1/secrets"))).items.map(({ name }) => name), staleTime: 60_000,
  });
  return useMemo(() => {
    const { nodes } = store.getState();
    const before = upstream({ nodes, edges }, node.id);
    const steps = nodes.filter((each) => before.has(each.id) && !isDecoration(each)).map((each) => ({ id: each.id, output: outputOf(each, catalog, input) }));
    return { input, steps, secrets: secrets ?? [], isInMap: node.parentId !== undefined };
  }, [store, edges, node.id, node.parentId, input, catalog, secrets]);
}

/** The schema of a step's output; a trigger gives the run's input, and a transform's names are those that it was given. */
function outputOf(node: FlowNode, catalog: Catalog, input: unknown): unknown {
  const type = stepTypeOf(node);
  if (catalog.get(type)?.kind === "trigger") return input;
  const values = node.data.config?.values;
  if (type === "core.transform" && typeof values === "object" && values !== null) {
    return { properties: Object.fromEntries(Object.keys(values).map((name) => [name, {}])) };
  }
  if (type === "core.approval") return node.data.config?.schema ?? null;
  return catalog.get(type)?.output_schema ?? null;
}

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { ReactFlowProvider, useReactFlow } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { useStore } from "zustand";

import { answered, useClient, type Workflow } from "../api/client";
import { ProblemError } from "../api/problem";
import { useCatalog } from "../graph/catalog";
import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { Canvas } from "./canvas";
import { Conflict } from "./conflict";
import { ConnectDialog } from "./connect-dialog";
import { type Editing, EditingContext, useSelected, type ValidationIssue } from "./context";
import { Inspector, loadForms } from "./inspector";
import { Palette } from "./palette";
import { Problems } from "./problems";
import { Saver } from "./saver";
import { type DocumentStore, documentOf } from "./store";
import { Toolbar } from "./toolbar";
import { useKeys } from "./use-keys";
import { useValidation } from "./use-validation";
import "./editor.css";

interface Loaded {
  workflow: Workflow;
  etag: string;
}

/** One version of a workflow: drawn, checked, saved, published. */
export default function Editor({ id }: { id: string }) {
  const client = useClient();
  const { data, error } = useQuery({
    queryKey: ["workflow", id, "edited"], staleTime: Infinity, gcTime: 0,
    queryFn: async (): Promise<Loaded> => {
      await left.get(id)?.saver?.save();
      const { data: workflow, response } = await answered(client.GET("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } } }));
      return { workflow, etag: response.headers.get("ETag") ?? "" };
    },
  });
  if (error !== null) return <div className="page"><ProblemNote error={error} /></div>;
  if (data === undefined) return <Loading />;
  return <ReactFlowProvider key={`${id} ${data.workflow.status}`}><Opened id={id} loaded={data} /></ReactFlowProvider>;
}

function Opened({ id, loaded: { workflow, etag } }: { id: string; loaded: Loaded }) {
  const client = useClient();
  const queries = useQueryClient();
  const flow = useReactFlow();
  const catalog = useCatalog();
  const isReadOnly = workflow.status !== "draft";
  const { store, saver } = useWork(id, () => {
    const made = documentOf(workflow);
    return { store: made, saver: isReadOnly ? undefined : new Saver(client, id, etag, made) };
  });
  const saving = useSyncExternalStore(saver?.subscribe ?? nothing, saver?.current ?? asSaved);
  const validation = useValidation(id, store, !isReadOnly);
  const [refused, setRefused] = useState<{ at: number; issues: readonly ValidationIssue[] }>();
  const isAsRefused = useStore(store, ({ revision }) => revision === refused?.at);
  const [isHelping, setIsHelping] = useState(false);
  const [isConnecting, setIsConnecting] = useState(false);
  const [areListed, setAreListed] = useState(false);

  useEffect(() => {
    if (!isReadOnly) void Promise.allSettled([loadForms(), import("./layout")]);
  }, [isReadOnly]);
  const help = useCallback(() => setIsHelping(true), []);
  const connect = useCallback(() => setIsConnecting(store.getState().nodes.filter(({ selected }) => selected).length === 1), [store]);
  useKeys({ store, saver, isReadOnly, onHelp: help, onConnect: connect });

  const focus = useCallback((nodeId: string) => {
    const state = store.getState();
    state.look({ nodes: state.nodes.map((node) => ({ ...node, selected: node.id === nodeId })) });
    void flow.fitView({ nodes: [{ id: nodeId }], maxZoom: 1, duration: 200 });
  }, [store, flow]);
  const issues = refused !== undefined && isAsRefused && validation.issues.length === 0 ? refused.issues : validation.issues;
  const editing = useMemo((): Editing => ({ store, isReadOnly, issues, focus }), [store, isReadOnly, issues, focus]);
  const published = (now: Workflow) => queries.setQueryData<Loaded>(["workflow", id, "edited"], (before) => before && { ...before, workflow: now });

  return (
    <EditingContext value={editing}>
      <div className="editor">
        <Toolbar
          workflow={workflow} saver={saver} saving={saving} onPublished={published} isAsRefused={isAsRefused} isHelping={isHelping} onHelp={setIsHelping}
          onProblems={(error) => {
            setRefused({ at: store.getState().revision, issues: error instanceof ProblemError ? error.issues.map(asIssue) : [] });
            setAreListed(true);
          }}
        />
        <div className="editor-body">
          {!isReadOnly && <details className="side" open={innerWidth > 800}><summary>Steps</summary><Palette catalog={catalog} /></details>}
          <div className="canvas"><Canvas catalog={catalog} /></div>
          <Side catalog={catalog} isConnecting={isConnecting} onConnected={() => setIsConnecting(false)} />
        </div>
        {!isReadOnly && <Problems validation={{ ...validation, issues }} isOpen={areListed} onOpen={setAreListed} />}
        {saver !== undefined && saving.theirs !== undefined && <Conflict saver={saver} theirs={saving.theirs} onFrozen={published} />}
      </div>
    </EditingContext>
  );
}

function Side({ catalog, isConnecting, onConnected }: { catalog: ReturnType<typeof useCatalog>; isConnecting: boolean; onConnected: () => void }) {
  const node = useSelected();
  const [shown, setShown] = useState({ id: node?.id, key: 0 });
  if (node?.id !== shown.id) setShown({ id: node?.id, key: shown.key + 1 });
  if (node === undefined) return null;
  return (
    <>
      <Inspector key={shown.key} node={node} catalog={catalog} onRenamed={(id) => setShown({ ...shown, id })} />
      {isConnecting && <ConnectDialog node={node} catalog={catalog} onClose={onConnected} />}
    </>
  );
}

interface Work {
  store: DocumentStore;
  saver: Saver | undefined;
}

/** What was worked on, by workflow, when its page was left. */
const left = new Map<string, Work>();

/** A document, saved as it changes for as long as the page is there. What is not saved when it goes is saved then, or found again. */
function useWork(id: string, make: () => Work): Work {
  const [work] = useState(() => {
    const before = left.get(id);
    return before?.saver?.hasUnsaved === true ? before : make();
  });
  useEffect(() => {
    work.saver?.open();
    return () => {
      left.set(id, work);
      work.saver?.close();
    };
  }, [id, work]);
  return work;
}

function asIssue(issue: Partial<ValidationIssue> & { code: string; message: string }): ValidationIssue {
  return { node_id: null, edge_id: null, path: null, column: null, ...issue };
}

const SAVED = { status: "saved" } as const;
const asSaved = () => SAVED;
const nothing = () => () => undefined;

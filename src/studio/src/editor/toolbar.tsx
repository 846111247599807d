import { useReactFlow } from "@xyflow/react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Download, Keyboard, LayoutDashboard, Redo2, Rocket, Settings2, Undo2, Upload, Zap } from "lucide-react";
import { useRef, useState } from "react";
import { Link } from "wouter";
import { useStore } from "zustand";

import { answer, type Schemas, useClient, type Workflow } from "../api/client";
import { drawn, type FlowNode } from "../graph/definition";
import { RunButton } from "../run/start";
import { writeJson } from "../ui/exact";
import { ProblemNote } from "../ui/problem";
import { useTitle } from "../ui/title";
import { useDuplicate } from "../workflows/actions";
import { imported } from "../workflows/import";
import { useDocument, useEditing } from "./context";
import { Refused } from "./refused";
import type { Saver, SaveState } from "./saver";
import { SettingsDialog } from "./settings";
import { Shortcuts } from "./shortcuts";
import { savedOf, type Settings } from "./store";

const SAYS: Record<SaveState["status"], string> = {
  saved: "Saved", unsaved: "Not saved yet", saving: "Saving …", offline: "Not saved: no connection, trying again", conflict: "Changed elsewhere", refused: "Cannot be saved",
};

interface ToolbarProps {
  workflow: Workflow;
  saver: Saver | undefined;
  saving: SaveState;
  onPublished: (workflow: Workflow) => void;
  onProblems: (error: unknown) => void;
  /** Whether nothing has changed since it was last not published. */
  isAsRefused: boolean;
  isHelping: boolean;
  onHelp: (isHelping: boolean) => void;
}

export function Toolbar({ workflow, saver, saving, onPublished, onProblems, isAsRefused, isHelping, onHelp }: ToolbarProps) {
  const { store, isReadOnly } = useEditing();
  const client = useClient();
  const queries = useQueryClient();
  const flow = useReactFlow<FlowNode>();
  const name = useDocument((state) => state.settings.name);
  useTitle(name);
  const canUndo = useStore(store.temporal, (history) => history.pastStates.length > 0);
  const canRedo = useStore(store.temporal, (history) => history.futureStates.length > 0);
  const [isSetting, setIsSetting] = useState(false);
  const [fault, setFault] = useState<string>();
  const file = useRef<HTMLInputElement>(null);
  const duplicate = useDuplicate(workflow.id);
  const publish = useMutation({
    mutationFn: async () => {
      if (saver !== undefined && !(await saver.save())) throw new Error("What you have changed is not saved yet; publish it when it is.");
      return answer(client.POST("/api/v1/workflows/{workflow_id}/publish", { params: { path: { workflow_id: workflow.id } } }));
    },
    onSuccess: async (published) => {
      if (saver?.isOvertakenBy(published) !== true) onPublished(published);
      await queries.invalidateQueries({ queryKey: ["workflows"] });
    },
    onError: onProblems,
  });

  const arrange = async () => {
    const { arranged } = await import("./layout");
    store.getState().change({ nodes: arranged(store.getState()) });
    requestAnimationFrame(() => void flow.fitView({ maxZoom: 1, padding: 0.15, duration: 200 }));
  };
  const save = () => {
    const content = writeJson(savedOf(store.getState()), 2);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([content], { type: "application/json" }));
    link.download = `${name.replace(/[^\p{L}\p{N}]+/gu, "-") || "workflow"}.json`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const read = async (chosen: File) => {
    const found = imported(chosen.name, await chosen.text());
    if (!found.ok) {
      setFault(found.message);
      return;
    }
    setFault(undefined);
    const state = store.getState();
    state.change({ ...drawn(found.workflow.definition), settings: { ...state.settings, ...settingsIn(found.workflow) } });
    requestAnimationFrame(() => void flow.fitView({ maxZoom: 1, padding: 0.15 }));
  };

  return (
    <>
      <div className="toolbar" role="toolbar" aria-label="Workflow">
        {isReadOnly ? <h1>{name}</h1> : (
          <input
            className="name" aria-label="Name" value={name} maxLength={200}
            onChange={({ currentTarget: { value } }) => store.getState().change({ settings: { ...store.getState().settings, name: value } }, "name")}
          />
        )}
        <span className="note">version {workflow.version}, {workflow.status}</span>
        {!isReadOnly && <span role="status" className={`saving ${saving.status}`}>{SAYS[saving.status]}</span>}
        <span className="grow" />
        {!isReadOnly && (
          <>
            <IconButton name="Undo" isDisabled={!canUndo} onClick={() => store.getState().undo()}><Undo2 size={16} aria-hidden="true" /></IconButton>
            <IconButton name="Redo" isDisabled={!canRedo} onClick={() => store.getState().redo()}><Redo2 size={16} aria-hidden="true" /></IconButton>
            <IconButton name="Arrange" onClick={() => void arrange()}><LayoutDashboard size={16} aria-hidden="true" /></IconButton>
            <IconButton name="Import" onClick={() => file.current?.click()}><Upload size={16} aria-hidden="true" /></IconButton>
            <input
              ref={file} type="file" accept=".json,application/json" hidden aria-label="Import a file"
              onChange={({ currentTarget }) => {
                const [chosen] = currentTarget.files ?? [];
                if (chosen !== undefined) void read(chosen);
                currentTarget.value = "";
              }}
            />
          </>
        )}
        <IconButton name="Export" onClick={save}><Download size={16} aria-hidden="true" /></IconButton>
        <IconButton name="Settings" onClick={() => setIsSetting(true)}><Settings2 size={16} aria-hidden="true" /></IconButton>
        <IconButton name="Keyboard" onClick={() => onHelp(true)}><Keyboard size={16} aria-hidden="true" /></IconButton>
        {workflow.status !== "draft" && <Link className="button" href={`/runs?workflow_id=${workflow.id}`}>Runs</Link>}
        <Link className="button" href={`/workflows/${workflow.id}/triggers`}><Zap size={14} aria-hidden="true" /> Triggers</Link>
        {workflow.status === "draft" && (
          <button type="button" className="primary" disabled={publish.isPending} onClick={() => publish.mutate()}><Rocket size={14} aria-hidden="true" /> Publish</button>
        )}
        {workflow.status === "published" && <RunButton workflow={workflow} isPrimary />}
      </div>
      {isReadOnly && (
        <div className="banner" role="note">
          {workflow.status === "published" ? "This version is published, and frozen: its runs refer to it." : "This version is archived: it takes no more runs."}{" "}
          <button type="button" disabled={duplicate.isPending} onClick={() => duplicate.mutate()}>Duplicate as draft</button>
          <ProblemNote error={duplicate.error} />
        </div>
      )}
      {saver !== undefined && saving.status === "refused" && <Refused saver={saver} error={saving.error} />}
      {publish.error !== null && isAsRefused && <ProblemNote error={publish.error} />}
      {fault !== undefined && <p role="alert" className="problem">{fault}</p>}
      {isSetting && <SettingsDialog onClose={() => setIsSetting(false)} />}
      {isHelping && <Shortcuts onClose={() => onHelp(false)} />}
    </>
  );
}

/** What an exported workflow says beside what is drawn; it keeps the name that it has here. */
function settingsIn({ description = "", input_schema, priority = "normal", concurrency_limit }: Schemas["WorkflowCreate"]): Partial<Settings> {
  return input_schema === undefined ? {} : { description, input_schema, priority, concurrency_limit: concurrency_limit ?? null };
}

function IconButton({ name, isDisabled = false, onClick, children }: { name: string; isDisabled?: boolean; onClick: () => void; children: React.ReactNode }) {
  // Only said to be disabled: it keeps the focus for whoever has undone the last step.
  return <button type="button" aria-label={name} title={name} aria-disabled={isDisabled} onClick={isDisabled ? undefined : onClick}>{children}</button>;
}

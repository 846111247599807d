import { useEffect } from "react";

import { definitionOf } from "../graph/definition";
import { parseJson, writeJson } from "../ui/exact";
import { isObject } from "../ui/json";
import { insert, removeSelected, selection } from "./edit";
import type { Saver } from "./saver";
import { areOn } from "./single-keys";
import type { Content, DocumentStore } from "./store";

interface Keys {
  store: DocumentStore;
  saver: Saver | undefined;
  isReadOnly: boolean;
  onHelp: () => void;
  onConnect: () => void;
}

/** The keyboard's ways of editing, wherever the focus is, but not while somebody types. */
export function useKeys({ store, saver, isReadOnly, onHelp, onConnect }: Keys): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (isBusy(event.target)) return;
      const isCommand = event.ctrlKey || event.metaKey;
      const action = isCommand ? COMMANDS[event.key.toLowerCase()] : event.altKey ? undefined : plain(event.key);
      if (action === undefined || (isReadOnly && !READING.has(action))) return;
      event.preventDefault();
      const state = store.getState();
      if (action === "undo") (event.shiftKey ? state.redo : state.undo)();
      else if (action === "redo") state.redo();
      else if (action === "save") void saver?.save();
      else if (action === "all") state.look({ nodes: state.nodes.map((node) => ({ ...node, selected: true })) });
      else if (action === "duplicate") state.change(insert(state, selection(state)));
      else if (action === "help") onHelp();
      else if (action === "connect") onConnect();
      else if (action === "delete") state.change(removeSelected(state));
      else document.getElementById("palette-search")?.focus();
    };
    const copy = (event: ClipboardEvent) => {
      const state = store.getState();
      const chosen = selection(state);
      if (isBusy(event.target) || chosen.nodes.length === 0 || !(getSelection()?.isCollapsed ?? true)) return;
      event.preventDefault();
      event.clipboardData?.setData("text/plain", writeJson({ stepwire: 1, ...chosen }, 2));
      if (event.type === "cut" && !isReadOnly) state.change(removeSelected(state));
    };
    const paste = (event: ClipboardEvent) => {
      if (isBusy(event.target) || isReadOnly) return;
      const pasted = drawingIn(event.clipboardData?.getData("text/plain") ?? "");
      if (pasted === undefined) return;
      event.preventDefault();
      store.getState().change(insert(store.getState(), pasted));
    };
    document.addEventListener("keydown", press);
    document.addEventListener("copy", copy);
    document.addEventListener("cut", copy);
    document.addEventListener("paste", paste);
    return () => {
      document.removeEventListener("keydown", press);
      document.removeEventListener("copy", copy);
      document.removeEventListener("cut", copy);
      document.removeEventListener("paste", paste);
    };
  }, [store, saver, isReadOnly, onHelp, onConnect]);
}

type Action = "undo" | "redo" | "save" | "all" | "duplicate" | "help" | "search" | "connect" | "delete";
const COMMANDS: Record<string, Action | undefined> = { z: "undo", y: "redo", s: "save", a: "all", d: "duplicate" };
const PLAIN: Record<string, Action | undefined> = { "?": "help", "/": "search", c: "connect", Delete: "delete", Backspace: "delete" };
const CHARACTER = 1;
const plain = (key: string) => (key.length > CHARACTER || areOn() ? PLAIN[key] : undefined);
const READING = new Set<Action>(["help", "all"]);

/** Whether keys are somebody else's: a field's, or a dialog's. */
function isBusy(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable], dialog") !== null;
}

/** Nodes and edges that were copied, here or as a definition from elsewhere. */
function drawingIn(text: string): Pick<Content, "nodes" | "edges"> | undefined {
  try {
    const read = parseJson(text);
    const { nodes, edges } = definitionOf(isObject(read) && isObject(read.definition) ? read.definition : read);
    return nodes.length === 0 ? undefined : { nodes, edges };
  } catch {
    return undefined;
  }
}

import { createContext, use } from "react";
import { useStore } from "zustand";

import type { Schemas } from "../api/client";
import type { FlowNode } from "../graph/definition";
import type { DocumentState, DocumentStore } from "./store";

export type ValidationIssue = Schemas["IssueResponse"];

export interface Editing {
  store: DocumentStore;
  isReadOnly: boolean;
  issues: readonly ValidationIssue[];
  /** Select a step and bring it into view. */
  focus: (nodeId: string) => void;
}

export const EditingContext = createContext<Editing | undefined>(undefined);

export function useEditing(): Editing {
  const editing = use(EditingContext);
  if (editing === undefined) throw new Error("useEditing outside of EditingContext");
  return editing;
}

export function useDocument<Part>(select: (state: DocumentState) => Part): Part {
  return useStore(useEditing().store, select);
}

/** The one step that is selected; undefined where none or several are. */
export function useSelected(): FlowNode | undefined {
  return useDocument(({ nodes }) => {
    const chosen = nodes.filter(({ selected }) => selected);
    return chosen.length === 1 ? chosen[0] : undefined;
  });
}

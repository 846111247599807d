import { temporal, type TemporalState } from "zundo";
import { createStore, type StoreApi } from "zustand";

import type { Workflow } from "../api/client";
import { drawn, type Drawn, restored } from "../graph/definition";

export type Settings = Pick<Workflow, "name" | "description" | "input_schema" | "priority" | "concurrency_limit">;

/** What is edited, undone and saved. */
export interface Content extends Drawn {
  settings: Settings;
}

export interface DocumentState extends Content {
  /** Counts the changes of the content. */
  revision: number;
  /** Changes of one `kind` that follow each other closely, as those of a drag or of a word that is typed, are undone at once. */
  change: (content: Partial<Content>, kind?: string) => void;
  /** Change what is only looked at: what is selected, how large a node turned out. Nothing is saved or undone for it. */
  look: (view: Partial<Pick<Content, "nodes" | "edges">>) => void;
  undo: () => void;
  redo: () => void;
}

export type DocumentStore = StoreApi<DocumentState> & { temporal: StoreApi<TemporalState<Content>> };

const STEPS_BACK = 200;
const BURST_MS = 400;

export function documentOf(workflow: Workflow): DocumentStore {
  const bursts = new Bursts();
  const store = createStore<DocumentState>()(
    temporal<DocumentState, [], [], Content>(
      (set, get) => ({
        ...drawn(workflow.definition), settings: settingsOf(workflow), revision: 0,
        change: (content, kind) => {
          if (Object.keys(content).length === 0) return;
          bursts.next = kind;
          set({ ...content, revision: get().revision + 1 });
        },
        look: (view) => {
          const history = store.temporal.getState();
          history.pause();
          set(view);
          history.resume();
        },
        undo: () => {
          store.temporal.getState().undo();
          set({ revision: get().revision + 1 });
        },
        redo: () => {
          store.temporal.getState().redo();
          set({ revision: get().revision + 1 });
        },
      }),
      {
        limit: STEPS_BACK,
        partialize: ({ nodes, edges, rest, mends, settings }) => ({ nodes, edges, rest, mends, settings }),
        equality: (one, other) => one.nodes === other.nodes && one.edges === other.edges && one.settings === other.settings,
        handleSet: (handle) => bursts.guard(handle),
      },
    ),
  );
  return store;
}

export function settingsOf({ name, description, input_schema, priority, concurrency_limit }: Workflow): Settings {
  return { name, description, input_schema, priority, concurrency_limit };
}

/** What is saved. React Flow's marks of what is selected or dragged just now are nobody's business. */
export function savedOf({ nodes, edges, rest, mends, settings }: Content) {
  return { ...settings, definition: { ...rest, ...restored(nodes.map(calm), edges.map(calm), mends) } };
}

function calm<Thing extends { selected?: boolean; dragging?: boolean }>(thing: Thing): Thing {
  if (thing.selected !== true && thing.dragging !== true) return thing;
  const { selected: _selected, dragging: _dragging, ...rest } = thing;
  return rest as Thing;
}

class Bursts {
  next: string | undefined;
  private last: { kind: string; at: number } | undefined;

  /** `handle` for those changes alone that are to be undone by themselves. */
  guard<Arguments extends unknown[]>(handle: (...given: Arguments) => void): (...given: Arguments) => void {
    return (...given) => {
      if (this.begins()) handle(...given);
    };
  }

  private begins(): boolean {
    const now = performance.now(), kind = this.next;
    const goesOn = kind !== undefined && this.last?.kind === kind && now - this.last.at < BURST_MS;
    this.last = kind === undefined ? undefined : { kind, at: now };
    return !goesOn;
  }
}

import { createContext, use, useSyncExternalStore } from "react";

import type { StepStatus } from "../../../stepwire/clients/run-stream";
import type { Catalog } from "./catalog";

/** What is shown on a node beside what it is: how its step goes, or what is wrong with it. */
export interface Mark {
  status?: StepStatus;
  attempt?: number;
  milliseconds?: number;
  /** "3 of 10", for a map. */
  progress?: string;
  problems?: string[];
}

/** The marks by node id, and the catalog, for all nodes of a canvas. */
export interface Marks {
  catalog: Catalog;
  of: (nodeId: string) => Mark | undefined;
  /** Be told when marks change, where they do without another context; only the nodes whose mark is another one are drawn again. */
  subscribe?: (listener: () => void) => () => void;
}

export const MarksContext = createContext<Marks>({ catalog: new Map(), of: () => undefined });

const NEVER = () => () => undefined;

export function useMark(nodeId: string): Mark | undefined {
  const { of, subscribe = NEVER } = use(MarksContext);
  return useSyncExternalStore(subscribe, () => of(nodeId));
}

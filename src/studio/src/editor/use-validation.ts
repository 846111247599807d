import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useStore } from "zustand";

import { answer, useClient } from "../api/client";
import type { ValidationIssue } from "./context";
import { type DocumentStore, savedOf } from "./store";

const QUIET_MS = 500;
const NONE: readonly ValidationIssue[] = [];

export interface Validation {
  issues: readonly ValidationIssue[];
  /** Whether they are about what is drawn now. */
  isCurrent: boolean;
}

/** What the server says is wrong with what is drawn, asked for when it has not changed for a moment. */
export function useValidation(id: string, store: DocumentStore, isWanted: boolean): Validation {
  const client = useClient();
  const revision = useStore(store, (state) => state.revision);
  const [asked, setAsked] = useState(revision);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(revision), QUIET_MS);
    return () => clearTimeout(timer);
  }, [revision]);
  const { data, isFetching } = useQuery({
    queryKey: ["validation", id, asked],
    queryFn: async ({ signal }) => {
      const { definition } = savedOf(store.getState());
      return (await answer(client.POST("/api/v1/workflows/{workflow_id}/validate", { params: { path: { workflow_id: id } }, body: { definition }, signal }))).issues;
    },
    enabled: isWanted, staleTime: Infinity, gcTime: 0, placeholderData: (before) => before,
  });
  return { issues: data ?? NONE, isCurrent: asked === revision && !isFetching };
}

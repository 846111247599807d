import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";

import { answer, keyOf, newKey, type Schemas, useClient } from "../api/client";
import { WORKFLOWS } from "./list";

/** Make a workflow and open it. Sent again after a failure, it is still one: the key is new only when the content is. */
export function useCreate() {
  const client = useClient();
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [keys] = useState(() => new Map<string, string>());
  return useMutation({
    mutationFn: (body: Schemas["WorkflowCreate"]) =>
      answer(client.POST("/api/v1/workflows", { body, params: { header: { "X-Idempotency-Key": keyOf(keys, body) } } })),
    onSuccess: async (workflow, body) => {
      keys.delete(JSON.stringify(body));
      await queries.invalidateQueries({ queryKey: WORKFLOWS, refetchType: "none" });
      navigate(`/workflows/${workflow.id}`);
    },
  });
}

/** Copy a workflow as the next version of its line, and open that. */
export function useDuplicate(id: string) {
  const client = useClient();
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [key, setKey] = useState(newKey);
  return useMutation({
    mutationFn: () =>
      answer(client.POST("/api/v1/workflows/{workflow_id}/duplicate", { params: { path: { workflow_id: id }, header: { "X-Idempotency-Key": key } } })),
    onSuccess: async (workflow) => {
      setKey(newKey());
      await queries.invalidateQueries({ queryKey: WORKFLOWS, refetchType: "none" });
      navigate(`/workflows/${workflow.id}`);
    },
  });
}

export function useArchive(id: string, onSuccess: () => void) {
  const client = useClient();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => answer(client.POST("/api/v1/workflows/{workflow_id}/archive", { params: { path: { workflow_id: id } } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: WORKFLOWS });
      onSuccess();
    },
  });
}

export function useDelete(id: string, onSuccess: () => void) {
  const client = useClient();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => answer(client.DELETE("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: id } } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: WORKFLOWS });
      onSuccess();
    },
  });
}

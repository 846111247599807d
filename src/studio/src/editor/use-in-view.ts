import { useReactFlow } from "@xyflow/react";
import { type RefObject, useEffect } from "react";

import type { FlowNode } from "../graph/definition";
import { bringIntoView } from "../graph/focus";
import { useDocument, useEditing, useSelected } from "./context";

const SETTLES_MS = 150;

/** What is selected is not left behind the form that opens beside it, or out of sight where it was just added. */
export function useInView(canvas: RefObject<HTMLElement | null>): void {
  const { store } = useEditing();
  const flow = useReactFlow<FlowNode>();
  const chosen = useSelected()?.id;
  const isFirst = useDocument(({ nodes }) => nodes.length === 1);
  useEffect(() => {
    if (chosen === undefined) return;
    const timer = setTimeout(() => {
      const isMoved = store.getState().nodes.some(({ dragging }) => dragging);
      if (canvas.current !== null && !isMoved) bringIntoView(flow, canvas.current, chosen, isFirst);
    }, SETTLES_MS);
    return () => clearTimeout(timer);
  }, [chosen, isFirst, flow, store, canvas]);
}

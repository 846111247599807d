import { type Dispatch, useEffect, useReducer, useState } from "react";

import { useSession } from "../auth/session";
import { said } from "../ui/problem";
import { type Feed, type FeedAction, feedAfter, type ListFrame, SILENT } from "./feed";
import { watchList } from "./socket";

const GATHER_MS = 100;

/** The list feed of a workflow's runs, or of all. What comes in quick succession is taken in at once. */
export function useFeed(workflowId: string | undefined): [Feed, Dispatch<FeedAction>, string | undefined] {
  const session = useSession();
  const [feed, dispatch] = useReducer(feedAfter, SILENT);
  const [refusal, setRefusal] = useState<string>();
  useEffect(() => {
    const abort = new AbortController();
    let frames: ListFrame[] = [], timer: ReturnType<typeof setTimeout> | undefined;
    const take = () => {
      clearTimeout(timer);
      timer = undefined;
      if (frames.length === 0) return;
      dispatch({ type: "heard", frames, at: Date.now() });
      frames = [];
    };
    watchList({
      api: location.origin,
      workflowId,
      token: session.token,
      onFrame: (frame) => {
        frames.push(frame);
        timer ??= setTimeout(take, GATHER_MS);
      },
      onLost: () => {
        take();
        dispatch({ type: "lost", at: Date.now() });
      },
      onUnauthenticated: () => session.expire(),
    }, abort.signal).catch((error: unknown) => setRefusal(said(error)));
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [session, workflowId]);
  return [feed, dispatch, refusal];
}

import { useSyncExternalStore } from "react";

import type { Watched } from "./watch";

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

let offlineAt = navigator.onLine ? undefined : Date.now();
addEventListener("offline", () => { offlineAt = Date.now(); });
addEventListener("online", () => { offlineAt = undefined; });

function subscribe(listener: () => void): () => void {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => { removeEventListener("online", listener); removeEventListener("offline", listener); };
}

/** Whether what is seen is how it is now; and if not, as of when. */
export function Liveness({ isLive, isOver, lostAt }: Pick<Watched, "isLive" | "isOver" | "lostAt">) {
  const behindSince = useSyncExternalStore(subscribe, () => offlineAt) ?? lostAt;
  const isBehind = !isOver && (!isLive || behindSince !== undefined);
  return <span role="status" className={`liveness ${isBehind ? "behind" : ""}`}>{words(isOver, isBehind, behindSince)}</span>;
}

function words(isOver: boolean, isBehind: boolean, lostAt: number | undefined): string {
  if (isOver) return "";
  if (!isBehind) return "● Live";
  return lostAt === undefined ? "Connecting …" : `Reconnecting …, as of ${TIME.format(lostAt)}`;
}

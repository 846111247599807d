import { useEffect, useMemo, useSyncExternalStore } from "react";

import { useClient } from "../api/client";
import { useSession } from "../auth/session";
import { Watch, type Watched } from "./watch";

/** The run as it is known now; and how to go on after it was taken up again. */
export function useWatch(runId: string): Watched & { goOn: () => void } {
  const client = useClient();
  const session = useSession();
  const watch = useMemo(() => new Watch(client, session, runId), [client, session, runId]);
  useEffect(() => {
    watch.start();
    return () => watch.stop();
  }, [watch]);
  const watched = useSyncExternalStore(watch.subscribe, watch.current);
  return { ...watched, goOn: () => watch.start() };
}

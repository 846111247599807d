import { useStore, useStoreApi } from "@xyflow/react";
import { useEffect, useState } from "react";

/** A zoom at which nothing can be read any more. */
export const FAR = 0.4;
const RESTS_MS = 300;

/** Whether everything is drawn so small that nobody can read it. Then nodes are mere boxes: hundreds of them move smoothly. */
export function useIsFar(): boolean {
  return useStore(({ transform: [, , zoom] }) => zoom < FAR);
}

/**
 * Whether nodes and edges out of sight are to be in the page as well. From afar most are in sight, and having them there
 * costs less than bringing and removing them while the canvas is moved. They come when the zoom rests, for that takes a moment.
 */
export function useHoldsAll(isFar: boolean): boolean {
  const store = useStoreApi();
  const [rests, setRests] = useState(false);
  useEffect(() => {
    if (!isFar) return;
    const rest = () => setTimeout(() => setRests(true), RESTS_MS);
    let timer = rest();
    const unsubscribe = store.subscribe(({ transform }, before) => {
      if (transform[2] === before.transform[2]) return;
      clearTimeout(timer);
      timer = rest();
    });
    return () => {
      unsubscribe();
      clearTimeout(timer);
      setRests(false);
    };
  }, [isFar, store]);
  return isFar && rests;
}

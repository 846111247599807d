import { useStore } from "@xyflow/react";

const FAR = 0.35;

/** Whether everything is drawn so small that nobody can read it. Then nodes are mere boxes: hundreds of them move smoothly. */
export function useIsFar(): boolean {
  return useStore(({ transform: [, , zoom] }) => zoom < FAR);
}

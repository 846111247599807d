import { useEffect, useState } from "react";

import { duration } from "../ui/time";
import type { Row } from "./row";

const TICK_MS = 1000;

/** How long a run took; of one that goes on, so far. */
export function Elapsed({ status, startedAt, completedAt }: Pick<Row, "status" | "startedAt" | "completedAt">) {
  if (startedAt === null) return null;
  const begun = Date.parse(startedAt);
  if (completedAt !== null) return <>{duration(Math.max(0, Date.parse(completedAt) - begun))}</>;
  return status === "running" ? <SoFar begun={begun} /> : null;
}

function SoFar({ begun }: { begun: number }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return <>{duration(Math.max(0, now - begun))} …</>;
}

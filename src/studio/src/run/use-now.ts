import { useEffect, useState } from "react";

const EVERY_MS = 500;

/** The time, for as long as something goes on. */
export function useNow(isRunning: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(() => setNow(Date.now()), EVERY_MS);
    return () => clearInterval(timer);
  }, [isRunning]);
  return now;
}

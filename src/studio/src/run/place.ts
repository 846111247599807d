import { useCallback, useEffect, useState } from "react";
import { useSearchParams } from "wouter";

const SETTLES_MS = 300;

/** What the page shows, and its address: `?step=each[3].fetch&seq=17`. The address follows after a moment: browsers limit how often it changes. */
export function usePlace() {
  const [query] = useSearchParams();
  const [step, setStep] = useState(query.get("step") ?? undefined);
  const [seq, setSeq] = useState(() => numberOf(query.get("seq")));
  useEffect(() => {
    const timer = setTimeout(() => {
      const wanted = new URLSearchParams(location.search);
      put(wanted, "step", step);
      put(wanted, "seq", seq?.toString());
      if (wanted.toString() === new URLSearchParams(location.search).toString()) return;
      history.replaceState(history.state, "", `${location.pathname}${wanted.size > 0 ? `?${wanted}` : ""}`);
    }, SETTLES_MS);
    return () => clearTimeout(timer);
  }, [step, seq]);
  return { step, setStep: useCallback((wanted: string | undefined) => setStep(wanted), []), seq, setSeq: useCallback((wanted: number | undefined) => setSeq(wanted), []) };
}

function numberOf(text: string | null): number | undefined {
  const number = Number(text);
  return text !== null && Number.isInteger(number) && number > 0 ? number : undefined;
}

function put(query: URLSearchParams, name: string, value: string | undefined): void {
  if (value === undefined) query.delete(name);
  else query.set(name, value);
}

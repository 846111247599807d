import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";

const SHOWN_MS = 2000;

/** Copy a text; `what` says which, for those who do not see what is beside the button. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [outcome, setOutcome] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setOutcome(""), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [outcome]);
  const copy = () => {
    // Without TLS, on another machine than this one, browsers have no clipboard.
    const copied = "clipboard" in navigator ? navigator.clipboard.writeText(text) : Promise.reject(new Error("no clipboard"));
    copied.then(() => setOutcome("Copied"), () => setOutcome("Select and copy it by hand"));
  };
  return (
    <>
      <button type="button" onClick={copy} aria-label={`Copy ${what}`}>
        {outcome === "Copied" ? <Check size={14} aria-hidden="true" /> : <Copy size={14} aria-hidden="true" />} {outcome || "Copy"}
      </button>
      <span role="status" className="visually-hidden">{outcome}</span>
    </>
  );
}

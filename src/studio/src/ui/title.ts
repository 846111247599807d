import { useEffect } from "react";

const STUDIO = "Stepwire Studio";

/** What the page is about, for the browser's tabs and history and for whoever hears it. */
export function useTitle(what: string | undefined): void {
  useEffect(() => {
    document.title = what === undefined || what.trim() === "" ? STUDIO : `${what} · ${STUDIO}`;
    return () => {
      document.title = STUDIO;
    };
  }, [what]);
}

import { Play } from "lucide-react";
import { lazy, Suspense, useState } from "react";

import type { Workflow } from "../api/client";
import { Dialog } from "../ui/dialog";
import { Loading } from "../ui/loading";

const StartForm = lazy(() => import("./start-form"));

export type Startable = Pick<Workflow, "id" | "name" | "status" | "input_schema">;

/** Starts a run of a workflow, once its input is filled in. */
export function RunButton({ workflow, isPrimary = false }: { workflow: Startable; isPrimary?: boolean }) {
  const [isOpen, setIsOpen] = useState(false);
  const isRunnable = workflow.status === "published";
  return (
    <>
      <button type="button" className={isPrimary ? "primary" : ""} aria-label={`Run ${workflow.name}`} onClick={() => setIsOpen(true)} disabled={!isRunnable} title={isRunnable ? undefined : "Only published workflows can be run."}>
        <Play size={14} aria-hidden="true" /> Run
      </button>
      {isOpen && (
        <Dialog title={`Run ${workflow.name}`} onClose={() => setIsOpen(false)}>
          <Suspense fallback={<Loading />}><StartForm workflow={workflow} onClose={() => setIsOpen(false)} /></Suspense>
        </Dialog>
      )}
    </>
  );
}

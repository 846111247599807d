import type { RunStatus, StepStatus } from "../../../stepwire/clients/run-stream";

const MARKS: Record<RunStatus | StepStatus, string> = {
  queued: "○", pending: "○", running: "◐", paused: "Ⅱ", waiting: "Ⅱ", completed: "✓", failed: "✕", skipped: "–", cancelled: "⊘",
};

/** A status: by its mark and its word, and not by colour alone. */
export function Status({ status }: { status: RunStatus | StepStatus }) {
  return <span className={`status ${status}`}><span aria-hidden="true">{MARKS[status]}</span> {status}</span>;
}

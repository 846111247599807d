import type { ReactNode } from "react";

import { Dialog, DialogActions } from "./dialog";
import { ProblemNote } from "./problem";

interface ConfirmProps {
  title: string;
  /** What the button says that does it. */
  action: string;
  children: ReactNode;
  isPending: boolean;
  error: unknown;
  onConfirm: () => void;
  onClose: () => void;
}

/** Ask before something that cannot be taken back. Not doing it has the focus. */
export function Confirm({ title, action, children, isPending, error, onConfirm, onClose }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      <ProblemNote error={error} />
      <DialogActions>
        <button type="button" autoFocus onClick={onClose}>Cancel</button>
        <button type="button" className="danger" disabled={isPending} onClick={onConfirm}>{action}</button>
      </DialogActions>
    </Dialog>
  );
}

import { type SubmitEvent, useState } from "react";

import { Dialog, DialogActions } from "../ui/dialog";
import { ProblemNote } from "../ui/problem";
import type { useCreate } from "./actions";

/** Ask for a name, make a draft, open it. */
export function NewWorkflow({ create, onClose }: { create: ReturnType<typeof useCreate>; onClose: () => void }) {
  const [name, setName] = useState("");
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    create.mutate({ name: name.trim(), description: "", priority: "normal" });
  };
  return (
    <Dialog title="New workflow" onClose={onClose}>
      <form onSubmit={submit}>
        <label>Name <input value={name} onChange={(event) => setName(event.currentTarget.value)} required maxLength={200} autoFocus pattern=".*\S.*" /></label>
        <ProblemNote error={create.error} />
        <DialogActions>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={create.isPending}>Create</button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

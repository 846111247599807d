import { Archive, Copy, Trash2 } from "lucide-react";
import { useState } from "react";
import { Link } from "wouter";

import type { Workflow } from "../api/client";
import { RunButton } from "../run/start";
import { Confirm } from "../ui/confirm";
import { ProblemNote } from "../ui/problem";
import { useArchive, useDelete, useDuplicate } from "./actions";

/** What can be done with a workflow without opening it. */
export function RowActions({ workflow }: { workflow: Workflow }) {
  const { id, name, version, status } = workflow;
  const [asking, setAsking] = useState<"archive" | "delete">();
  const done = () => setAsking(undefined);
  const duplicate = useDuplicate(id);
  const archive = useArchive(id, done);
  const remove = useDelete(id, done);
  const which = `${name}, version ${version}`;
  return (
    <div className="row-actions">
      {status === "published" && <RunButton workflow={workflow} />}
      <Link className="button" href={`/runs?workflow_id=${id}`} aria-label={`Runs of ${which}`}>Runs</Link>
      <Link className="button" href={`/workflows/${id}/triggers`} aria-label={`Triggers of ${which}`}>Triggers</Link>
      <button type="button" disabled={duplicate.isPending} onClick={() => duplicate.mutate()} aria-label={`Duplicate ${which}`} title="Duplicate as the next version">
        <Copy size={14} aria-hidden="true" />
      </button>
      {status === "published" && (
        <button type="button" onClick={() => setAsking("archive")} aria-label={`Archive ${which}`} title="Archive"><Archive size={14} aria-hidden="true" /></button>
      )}
      {status === "draft" && (
        <button type="button" className="danger" onClick={() => setAsking("delete")} aria-label={`Delete ${which}`} title="Delete"><Trash2 size={14} aria-hidden="true" /></button>
      )}
      <ProblemNote error={duplicate.error} />
      {asking === "archive" && (
        <Confirm title={`Archive ${which}?`} action="Archive" isPending={archive.isPending} error={archive.error} onConfirm={() => archive.mutate()} onClose={done}>
          <p>It takes no more runs, and its webhook and schedules stop. Runs that go on finish. This cannot be taken back; a duplicate of it can be published.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm title={`Delete ${which}?`} action="Delete" isPending={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()} onClose={done}>
          <p>The draft and all that is drawn in it are gone for good.</p>
        </Confirm>
      )}
    </div>
  );
}

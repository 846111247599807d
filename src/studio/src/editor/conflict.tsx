import { useMutation } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useLocation } from "wouter";

import { newKey, useClient, type Workflow } from "../api/client";
import { drawn } from "../graph/definition";
import { Dialog, DialogActions } from "../ui/dialog";
import { ProblemNote } from "../ui/problem";
import { Moment } from "../ui/time";
import { useEditing } from "./context";
import { differences } from "./diff";
import { saveAsCopy, saveAsNextVersion, type Saver, type SaveState } from "./saver";
import { savedOf, settingsOf } from "./store";

const SHOWN = 30;

interface ConflictProps {
  saver: Saver;
  theirs: NonNullable<SaveState["theirs"]>;
  /** What is there now is no draft any more. */
  onFrozen: (workflow: Workflow) => void;
}

/** Two people, or two windows, have changed the same draft: both versions are shown, and neither is lost. */
export function Conflict({ saver, theirs, onFrozen }: ConflictProps) {
  const client = useClient();
  const { store } = useEditing();
  const [, navigate] = useLocation();
  const [key] = useState(newKey);
  const found = useMemo(() => differences(savedOf(store.getState()), theirs.workflow), [store, theirs]);
  const isFrozen = theirs.workflow.status !== "draft";
  const copy = useMutation({
    mutationFn: () => (isFrozen ? saveAsNextVersion(client, theirs.workflow.id, store, key) : saveAsCopy(client, store, key)),
    onSuccess: ({ id }) => {
      takeTheirs();
      navigate(`/workflows/${id}`);
    },
  });
  const takeTheirs = () => {
    store.getState().change({ ...drawn(theirs.workflow.definition), settings: settingsOf(theirs.workflow) }); // mine is one undo away
    saver.tookTheirs();
    if (isFrozen) onFrozen(theirs.workflow);
  };
  return (
    <Dialog title="This draft was changed elsewhere" onClose={() => undefined}>
      <p tabIndex={-1} data-first>{/* not a button: it comes while somebody types */}
        {isFrozen ? <>This version was published <Moment at={theirs.workflow.published_at ?? theirs.workflow.updated_at} />, and is frozen since. What you have changed meanwhile can be the next version.</>
          : <>Somebody has saved another version <Moment at={theirs.workflow.updated_at} />, while you were editing this one. Nothing of either is lost until you choose.</>}
      </p>
      <table>
        <caption className="visually-hidden">What differs</caption>
        <thead><tr><th scope="col">What</th><th scope="col">Where</th></tr></thead>
        <tbody>
          {found.slice(0, SHOWN).map(({ what, how }) => <tr key={what}><td>{what}</td><td>{how === "changed" ? "differs" : how === "only mine" ? "only in yours" : "only in theirs"}</td></tr>)}
        </tbody>
      </table>
      {found.length > SHOWN && <p className="note">… and {found.length - SHOWN} more.</p>}
      {found.length === 0 && <p>Both versions say the same.</p>}
      <ProblemNote error={copy.error} />
      <DialogActions>
        <button type="button" onClick={takeTheirs}>Take theirs</button>
        <button type="button" className={isFrozen ? "primary" : ""} disabled={copy.isPending} onClick={() => copy.mutate()}>Keep mine as {isFrozen ? "the next version" : "a copy"}</button>
        {!isFrozen && <button type="button" className="primary" onClick={() => void saver.keepMine()}>Keep mine</button>}
      </DialogActions>
    </Dialog>
  );
}

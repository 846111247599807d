import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";

import { newKey, useClient } from "../api/client";
import { ProblemError } from "../api/problem";
import { ProblemNote } from "../ui/problem";
import { useDocument, useEditing } from "./context";
import { saveAsCopy, type Saver } from "./saver";

/** Why a draft is not saved. One that is not there any more can be saved as another one. */
export function Refused({ saver, error }: { saver: Saver; error: unknown }) {
  const client = useClient();
  const { store } = useEditing();
  const name = useDocument(({ settings }) => settings.name);
  const [, navigate] = useLocation();
  const [key] = useState(newKey);
  const copy = useMutation({
    mutationFn: () => saveAsCopy(client, store, key),
    onSuccess: ({ id }) => {
      saver.letGo();
      navigate(`/workflows/${id}`);
    },
  });
  if (name === "") return <ProblemNote error={new Error("A workflow needs a name. It is saved once it has one.")} />;
  if (!(error instanceof ProblemError && error.status === 404)) return <ProblemNote error={error} />;
  return (
    <div className="banner" role="alert">
      This draft was deleted elsewhere. <button type="button" disabled={copy.isPending} onClick={() => copy.mutate()}>Keep mine as a copy</button>
      <ProblemNote error={copy.error} />
    </div>
  );
}

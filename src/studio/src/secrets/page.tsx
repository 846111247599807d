import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";

import { answer, useClient } from "../api/client";
import { Confirm } from "../ui/confirm";
import { Dialog, DialogActions } from "../ui/dialog";
import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { Moment } from "../ui/time";
import { useTitle } from "../ui/title";

const SECRETS = ["secrets"];

/** What steps may read by name: values go in here, and never come out again. */
export default function Secrets() {
  useTitle("Secrets");
  const client = useClient();
  const [setting, setSetting] = useState<{ name: string }>();
  const [deleting, setDeleting] = useState<string>();
  const list = useQuery({ queryKey: SECRETS, queryFn: ({ signal }) => answer(client.GET("/api/v1/secrets", { signal })) });
  const secrets = list.data?.items ?? [];
  return (
    <div className="page">
      <div className="page-head">
        <h1>Secrets</h1>
        <button type="button" className="primary" onClick={() => setSetting({ name: "" })}>New secret</button>
      </div>
      <p className="note">Steps read them as <code>{"{{ secrets.<name> }}"}</code>. A value can be changed and deleted, and is never shown again.</p>
      <ProblemNote error={list.error} />
      {list.isPending && <Loading />}
      {list.isSuccess && secrets.length === 0 && <p className="empty">There are no secrets. Keep API tokens and passwords here, and out of what you draw.</p>}
      {secrets.length > 0 && (
        <div className="wide">
          <table>
            <thead><tr><th scope="col">Name</th><th scope="col">Set</th><th scope="col">Changed</th><th scope="col">Actions</th></tr></thead>
            <tbody>
              {secrets.map(({ name, created_at, updated_at }) => (
                <tr key={name}>
                  <td><code>{name}</code></td>
                  <td><Moment at={created_at} /></td>
                  <td><Moment at={updated_at} /></td>
                  <td>
                    <div className="row">
                      <button type="button" onClick={() => setSetting({ name })}>Change<span className="visually-hidden"> {name}</span></button>
                      <button type="button" className="danger" onClick={() => setDeleting(name)}>Delete<span className="visually-hidden"> {name}</span></button>
                    </div>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {setting !== undefined && <SetSecret known={setting.name} taken={secrets.map(({ name }) => name)} onClose={() => setSetting(undefined)} />}
      {deleting !== undefined && <DeleteSecret name={deleting} onClose={() => setDeleting(undefined)} />}
    </div>
  );
}

function SetSecret({ known, taken, onClose }: { known: string; taken: string[]; onClose: () => void }) {
  const client = useClient();
  const queries = useQueryClient();
  const [name, setName] = useState(known);
  const [value, setValue] = useState("");
  const set = useMutation({
    mutationFn: () => answer(client.PUT("/api/v1/secrets/{name}", { params: { path: { name } }, body: { value } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: SECRETS });
      onClose();
    },
  });
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    set.mutate();
  };
  const replaces = known === "" && taken.includes(name);
  return (
    <Dialog title={known === "" ? "New secret" : `Change ${known}`} onClose={onClose}>
      <form onSubmit={submit} autoComplete="off">
        {known === "" && (
          <label>
            Name <input value={name} onChange={(event) => setName(event.currentTarget.value)} required maxLength={64} pattern="[A-Za-z_][A-Za-z0-9_]*" className="mono"
              title="Letters, digits and underscores, not beginning with a digit" autoFocus spellCheck={false} />
          </label>
        )}
        <p role="status" className="note">{replaces && "There is one of this name: its value will be replaced."}</p>
        <label>
          Value <textarea className="mono" value={value} onChange={(event) => setValue(event.currentTarget.value)} required minLength={4} rows={3} spellCheck={false} autoFocus={known !== ""} />
        </label>
        <ProblemNote error={set.error} />
        <DialogActions>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={set.isPending}>{known !== "" || replaces ? "Replace the value" : "Save"}</button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

function DeleteSecret({ name, onClose }: { name: string; onClose: () => void }) {
  const client = useClient();
  const queries = useQueryClient();
  const remove = useMutation({
    mutationFn: () => answer(client.DELETE("/api/v1/secrets/{name}", { params: { path: { name } } })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: SECRETS });
      onClose();
    },
  });
  return (
    <Confirm title={`Delete ${name}?`} action="Delete" isPending={remove.isPending} error={remove.error} onConfirm={() => remove.mutate()} onClose={onClose}>
      <p>Steps that name it fail from now on, with <code>secret-missing</code>.</p>
    </Confirm>
  );
}

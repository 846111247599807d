import { Plus, Upload } from "lucide-react";
import { type ChangeEvent, useDeferredValue, useRef, useState } from "react";
import { useSearchParams } from "wouter";

import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { useTitle } from "../ui/title";
import { useCreate } from "./actions";
import { Empty } from "./empty";
import { imported } from "./import";
import { STATUSES, useWorkflows } from "./list";
import { NewWorkflow } from "./new";
import { WorkflowTable } from "./table";
import "./workflows.css";

export function Workflows() {
  useTitle("Workflows");
  const [query, setQuery] = useSearchParams();
  const [isNaming, setIsNaming] = useState(false);
  const [fileProblem, setFileProblem] = useState("");
  const file = useRef<HTMLInputElement>(null);
  const create = useCreate();
  const name = query.get("name") ?? "";
  const status = STATUSES.find((each) => each === query.get("status"));
  const list = useWorkflows({ name: useDeferredValue(name), status });
  const workflows = list.data?.pages.flatMap((page) => page.items) ?? [];
  const isFiltered = name !== "" || status !== undefined;

  const filter = (field: "name" | "status", value: string) => {
    setQuery((before) => {
      const after = new URLSearchParams(before);
      if (value === "") after.delete(field);
      else after.set(field, value);
      return after;
    }, { replace: true });
  };
  const bringIn = async ({ currentTarget: input }: ChangeEvent<HTMLInputElement>) => {
    const [chosen] = input.files ?? [];
    if (chosen === undefined) return;
    const read = imported(chosen.name, await chosen.text());
    input.value = ""; // so that the same file can be chosen again
    setFileProblem(read.ok ? "" : read.message);
    if (read.ok) create.mutate(read.workflow);
  };

  return (
    <div className="page">
      <div className="page-head">
        <h1>Workflows</h1>
        <input ref={file} type="file" accept="application/json,.json" hidden aria-label="Workflow file" onChange={bringIn} />
        <button type="button" disabled={create.isPending} onClick={() => file.current?.click()}><Upload size={14} aria-hidden="true" /> Import</button>
        <button type="button" className="primary" onClick={() => setIsNaming(true)}><Plus size={14} aria-hidden="true" /> New workflow</button>
      </div>
      <p role="alert" className="problem">{fileProblem}</p>
      {!isNaming && <ProblemNote error={create.error} />}
      {isNaming && <NewWorkflow create={create} onClose={() => { setIsNaming(false); create.reset(); }} />}
      {(isFiltered || workflows.length > 0) && (
        <search className="row filters">
          <label>Name <input type="search" value={name} onChange={(event) => filter("name", event.currentTarget.value)} /></label>
          <label>
            Status{" "}
            <select value={status ?? ""} onChange={(event) => filter("status", event.currentTarget.value)}>
              <option value="">any</option>
              {STATUSES.map((each) => <option key={each}>{each}</option>)}
            </select>
          </label>
        </search>
      )}
      <ProblemNote error={list.error} />
      {list.isPending && <Loading />}
      {list.isSuccess && workflows.length === 0 && (isFiltered
        ? <p className="empty" role="status">No workflow is like that.</p>
        : <Empty create={create} onNew={() => setIsNaming(true)} />)}
      {workflows.length > 0 && <WorkflowTable workflows={workflows} />}
      {list.hasNextPage && (
        <p className="more">
          <button type="button" disabled={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            {list.isFetchingNextPage ? "Loading …" : "Show more"}
          </button>
        </p>
      )}
    </div>
  );
}

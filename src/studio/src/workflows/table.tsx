import { useState } from "react";
import { Link } from "wouter";

import type { Workflow } from "../api/client";
import { Moment } from "../ui/time";
import { type Line, linesOf } from "./lines";
import { RowActions } from "./row-actions";

export function WorkflowTable({ workflows }: { workflows: readonly Workflow[] }) {
  return (
    <div className="wide">
      <table className="workflows">
        <thead>
          <tr><th scope="col">Name</th><th scope="col">Version</th><th scope="col">Status</th><th scope="col">Updated</th><th scope="col">Actions</th></tr>
        </thead>
        {linesOf(workflows).map((line) => <LineRows key={line.newest.id} line={line} />)}
      </table>
    </div>
  );
}

function LineRows({ line: { newest, earlier } }: { line: Line }) {
  const [isOpen, setIsOpen] = useState(false);
  const toggle = (
    <button type="button" className="quiet earlier" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
      {earlier.length} earlier<span className="visually-hidden"> versions of {newest.name}</span>
    </button>
  );
  return (
    <tbody>
      <Row workflow={newest}>{earlier.length > 0 && toggle}</Row>
      {isOpen && earlier.map((each) => <Row key={each.id} workflow={each} isEarlier />)}
    </tbody>
  );
}

function Row({ workflow, isEarlier = false, children }: { workflow: Workflow; isEarlier?: boolean; children?: React.ReactNode }) {
  const { id, name, description, version, status, updated_at } = workflow;
  return (
    <tr className={isEarlier ? "is-earlier" : ""}>
      <th scope="row">
        <Link href={`/workflows/${id}`}>{name}<span className="visually-hidden">, version {version}</span></Link>
        {description !== "" && !isEarlier && <div className="note one-line">{description}</div>}
      </th>
      <td className="version">v{version} {children}</td>
      <td><span className={`chip ${status === "published" ? "good" : ""}`}>{status}</span></td>
      <td className="when"><Moment at={updated_at} /></td>
      <td><RowActions workflow={workflow} /></td>
    </tr>
  );
}

import { ProblemError } from "../api/problem";

/** The words of whatever was thrown. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong.";
}

/** What went wrong, in the server's words, with each thing that is wrong at its place. */
export function ProblemNote({ error }: { error: unknown }) {
  if (error === null || error === undefined) return null;
  const all = error instanceof ProblemError ? error.issues : [];
  const issues = all.length === 1 && all[0]?.message === said(error) ? [] : all; // it says so already
  return (
    <div role="alert" className="problem">
      <p>{said(error)}</p>
      {issues.length > 0 && <ul>{issues.map((issue, index) => <li key={index}>{typeof issue.path === "string" && <code>{issue.path}</code>} {issue.message}</li>)}</ul>}
    </div>
  );
}

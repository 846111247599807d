import { Prose } from "../ui/prose";
import { useEditing } from "./context";
import type { Validation } from "./use-validation";

/** All that keeps the workflow from being published. Each leads to its place. */
export function Problems({ validation: { issues, isCurrent } }: { validation: Validation }) {
  const { focus } = useEditing();
  return (
    <details className="problems" open={issues.length > 0 && issues.length <= 5}>
      <summary>
        <span role="status">{issues.length === 0 ? (isCurrent ? "Ready to publish" : "Checking …") : `${issues.length} ${issues.length === 1 ? "problem" : "problems"}`}</span>
      </summary>
      <ul>
        {issues.map(({ message, node_id, edge_id, path, column }, index) => (
          <li key={index}>
            {node_id === null ? <span><Prose text={message} /></span> : <button type="button" className="quiet" onClick={() => focus(node_id)}><Prose text={message} /></button>}{" "}
            <span className="note">{[node_id ?? edge_id, path, column === null ? null : `column ${column}`].filter((each) => each !== null).join(" · ")}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}

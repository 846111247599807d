import { Prose } from "../ui/prose";
import { useEditing } from "./context";
import type { Validation } from "./use-validation";

interface ProblemsProps {
  validation: Validation;
  isOpen: boolean;
  onOpen: (isOpen: boolean) => void;
}

/** All that keeps the workflow from being published, listed when somebody asks for it. Each leads to its place. */
export function Problems({ validation: { issues, isCurrent }, isOpen, onOpen }: ProblemsProps) {
  const { focus } = useEditing();
  return (
    <details className={`problems ${issues.length === 0 ? "" : "any"}`} open={isOpen} onToggle={({ currentTarget }) => onOpen(currentTarget.open)}>
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

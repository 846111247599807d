import { ChevronDown, ChevronRight } from "lucide-react";
import { useMemo, useState } from "react";

import { CopyButton } from "../ui/copy";
import { writeJson } from "../ui/exact";
import "./json-tree.css";

const PAGE = 100, LONG_TEXT = 300, TEXT_PAGE = 20_000, OPEN_AT_FIRST = 12;

/** A value that may be large: what is folded is not there, and of long lists and texts a part at a time. */
export function JsonTree({ value, what }: { value: unknown; what: string }) {
  const text = useMemo(() => (value === undefined ? undefined : writeJson(value, 2)), [value]);
  if (text === undefined) return <p className="note">Nothing.</p>;
  return (
    <div className="json-tree">
      <Value value={value} name={what} depth={0} isRoot />
      <CopyButton text={text} what={what} />
    </div>
  );
}

interface ValueProps {
  value: unknown;
  name: string;
  depth: number;
  isRoot?: boolean;
}

function Value({ value, name, depth, isRoot = false }: ValueProps) {
  if (typeof value === "object" && value !== null) return <Branch value={value} name={name} depth={depth} isRoot={isRoot} />;
  return <div className="json-leaf">{!isRoot && <><span className="json-key">{name}</span>: </>}{typeof value === "string" ? <Text text={value} /> : <span className="json-plain">{String(value)}</span>}</div>;
}

function Branch({ value, name, depth, isRoot }: ValueProps & { value: object }) {
  const isList = Array.isArray(value);
  const keys = useMemo(() => Object.keys(value), [value]);
  const [isOpen, setIsOpen] = useState(depth === 0 || (depth === 1 && keys.length <= OPEN_AT_FIRST));
  const [shown, setShown] = useState(PAGE);
  const size = isList ? `[${keys.length}]` : `{${keys.length}}`;
  if (keys.length === 0) return <div className="json-leaf">{!isRoot && <><span className="json-key">{name}</span>: </>}<span className="json-plain">{isList ? "[ ]" : "{ }"}</span></div>;
  return (
    <div className="json-branch">
      <button type="button" className="quiet json-fold" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
        {isOpen ? <ChevronDown size={14} aria-hidden="true" /> : <ChevronRight size={14} aria-hidden="true" />}
        <span className="json-key">{name}</span> <span className="json-size">{size}</span>
      </button>
      {isOpen && (
        <ul>
          {keys.slice(0, shown).map((key) => <li key={key}><Value value={(value as Record<string, unknown>)[key]} name={key} depth={depth + 1} /></li>)}
          {keys.length > shown && <li><button type="button" className="json-more" onClick={() => setShown(shown + PAGE)}>Show {Math.min(PAGE, keys.length - shown)} more of {keys.length}</button></li>}
        </ul>
      )}
    </div>
  );
}

function Text({ text }: { text: string }) {
  const [shown, setShown] = useState(LONG_TEXT);
  return (
    <>
      <span className="json-text">{JSON.stringify(text.slice(0, shown))}</span>
      {text.length > shown && <> <button type="button" className="json-more" onClick={() => setShown(shown + TEXT_PAGE)}>Show more of {text.length.toLocaleString()} characters</button></>}
    </>
  );
}

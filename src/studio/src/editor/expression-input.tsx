import { createContext, type KeyboardEvent, use, useId, useLayoutEffect, useRef, useState } from "react";

import { completionsAt, type Completing, type Scope } from "./completions";

export const ScopeContext = createContext<Scope>({ input: null, steps: [], secrets: [], isInMap: false });

interface ExpressionInputProps {
  id: string;
  value: string;
  onChange: (value: string) => void;
  label?: string | undefined;
  describedBy?: string | undefined;
  isInvalid?: boolean;
  isDisabled?: boolean;
  placeholder?: string | undefined;
}

/** A text that may hold `{{ expressions }}`; inside of those it offers what can be named there (an ARIA combobox). */
export function ExpressionInput({ id, value, onChange, label, describedBy, isInvalid = false, isDisabled = false, placeholder }: ExpressionInputProps) {
  const scope = use(ScopeContext);
  const listId = useId();
  const field = useRef<HTMLTextAreaElement>(null);
  const caret = useRef<number>(undefined);
  const [offered, setOffered] = useState<Completing>();
  const [chosen, setChosen] = useState(0);

  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight + 2}px`;
    if (caret.current === undefined) return;
    element.setSelectionRange(caret.current, caret.current);
    caret.current = undefined;
  }, [value]);

  const offer = (text: string, at: number) => {
    const found = completionsAt(text, at, scope);
    setOffered(found === undefined || found.options.length === 0 ? undefined : found);
    setChosen(0);
  };
  const take = (index: number) => {
    const option = offered?.options[index];
    const element = field.current;
    if (offered === undefined || option === undefined || element === null) return;
    const text = value.slice(0, offered.from) + option.text + value.slice(element.selectionStart);
    caret.current = offered.from + option.text.length;
    setOffered(undefined);
    onChange(text);
  };
  const press = (event: KeyboardEvent) => {
    if (offered === undefined) {
      if (event.key === " " && event.ctrlKey && field.current !== null) {
        event.preventDefault();
        offer(value, field.current.selectionStart);
      }
      return;
    }
    const { length } = offered.options;
    if (event.key === "ArrowDown") setChosen((chosen + 1) % length);
    else if (event.key === "ArrowUp") setChosen((chosen + length - 1) % length);
    else if (event.key === "Enter" || event.key === "Tab") take(chosen);
    else if (event.key === "Escape") setOffered(undefined);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="expression">
      <textarea
        ref={field} id={id} rows={1} className="mono" spellCheck={false} value={value} disabled={isDisabled} placeholder={placeholder}
        role="combobox" aria-label={label} aria-autocomplete="list" aria-haspopup="listbox" aria-expanded={offered !== undefined} aria-controls={listId}
        aria-activedescendant={offered === undefined ? undefined : `${listId}-${chosen}`} aria-invalid={isInvalid} aria-describedby={describedBy}
        onChange={({ currentTarget }) => {
          onChange(currentTarget.value);
          offer(currentTarget.value, currentTarget.selectionStart);
        }}
        onKeyDown={press} onBlur={() => setOffered(undefined)}
      />
      <ul id={listId} role="listbox" aria-label="Suggestions" hidden={offered === undefined}>
        {offered?.options.map(({ text, detail }, index) => (
          <li
            key={text} id={`${listId}-${index}`} role="option" aria-selected={index === chosen}
            onMouseDown={(event) => {
              event.preventDefault(); // the field keeps the focus
              take(index);
            }}
          >
            <span className="mono">{text}</span> <span className="note">{detail}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

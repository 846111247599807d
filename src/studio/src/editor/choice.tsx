import { useState } from "react";

import { ExpressionInput } from "./expression-input";
import { shown } from "./value";

export interface Option {
  value: unknown;
  says: string;
}

interface ChoiceProps {
  id: string;
  value: unknown;
  options: readonly Option[];
  /** What counts where nothing was chosen; undefined where something has to be. */
  standard: unknown;
  describedBy: string;
  isInvalid: boolean;
  isDisabled: boolean;
  onChange: (value: unknown) => void;
}

const EXPRESSION = "expression", NOTHING = "";

/** One of a few values, or an expression that gives it. */
export function Choice({ id, value, options, standard, describedBy, isInvalid, isDisabled, onChange }: ChoiceProps) {
  const [wantsExpression, setWantsExpression] = useState(false);
  const chosen = value === undefined ? standard : value;
  const index = options.findIndex((option) => option.value === chosen);
  const isExpression = wantsExpression || (index < 0 && value !== undefined);
  const choose = (picked: string) => {
    setWantsExpression(picked === EXPRESSION);
    if (picked === EXPRESSION) onChange(undefined);
    else onChange(options[Number(picked)]?.value);
  };
  return (
    <>
      <select
        id={id} value={isExpression ? EXPRESSION : index < 0 ? NOTHING : String(index)} disabled={isDisabled} aria-invalid={isInvalid} aria-describedby={describedBy}
        onChange={({ currentTarget }) => choose(currentTarget.value)}
      >
        {index < 0 && <option value={NOTHING} disabled>choose …</option>}
        {options.map((option, number) => <option key={number} value={number}>{option.says}{option.value === standard && " (default)"}</option>)}
        <option value={EXPRESSION}>an expression …</option>
      </select>
      {isExpression && (
        <ExpressionInput
          id={`${id}-expression`} label="Expression" value={shown(value)} isInvalid={isInvalid} isDisabled={isDisabled} placeholder="{{ expression }}"
          describedBy={describedBy} onChange={(text) => onChange(text === "" ? undefined : text)}
        />
      )}
    </>
  );
}

import type { StepData } from "../graph/definition";
import { isObject } from "../ui/json";
import { shown } from "./value";

interface StepRulesProps {
  data: StepData;
  isReadOnly: boolean;
  onChange: (data: StepData) => void;
}

interface Rule {
  name: string;
  label: string;
  hint: string;
}

const RETRY: Rule[] = [
  { name: "initial_interval", label: "First wait", hint: "seconds" },
  { name: "multiplier", label: "Times longer each time", hint: "2" },
  { name: "max_interval", label: "Longest wait", hint: "seconds" },
];

/** What holds for every step: how often it is tried, how long it may take, what its failure means, what it waits for. */
export function StepRules({ data, isReadOnly, onChange }: StepRulesProps) {
  const retry = isObject(data.retry) ? data.retry : {};
  const set = (name: string, value: unknown) => onChange(without({ ...data, [name]: value }));
  const setRetry = (name: string, value: unknown) => {
    const next = without({ ...retry, [name]: value });
    set("retry", Object.keys(next).length === 0 ? undefined : next);
  };
  return (
    <details className="rules" open={["retry", "timeout", "on_error", "join"].some((name) => name in data)}>
      <summary>Retries, timeout, failure</summary>
      <NumberField label="Attempts" hint="1" value={retry.max_attempts} isDisabled={isReadOnly} onChange={(value) => setRetry("max_attempts", value)} />
      {retry.max_attempts !== undefined && RETRY.map(({ name, label, hint }) => (
        <NumberField key={name} label={label} hint={hint} value={retry[name]} isDisabled={isReadOnly} onChange={(value) => setRetry(name, value)} />
      ))}
      <label className="field">Timeout
        <input value={shown(data.timeout)} disabled={isReadOnly} placeholder="seconds, or PT5M" onChange={({ currentTarget: { value } }) => set("timeout", numeric(value))} />
      </label>
      <label className="field">When it fails
        <select value={shown(data.on_error) || "fail"} disabled={isReadOnly} onChange={({ currentTarget: { value } }) => set("on_error", value === "fail" ? undefined : value)}>
          <option value="fail">take the error edge, else the run fails</option>
          <option value="continue">go on as if it had given nothing</option>
        </select>
      </label>
      <label className="field">Begins when
        <select value={shown(data.join) || "all"} disabled={isReadOnly} onChange={({ currentTarget: { value } }) => set("join", value === "all" ? undefined : value)}>
          <option value="all">all steps before it have ended</option>
          <option value="any">one of them leads here</option>
        </select>
      </label>
    </details>
  );
}

function NumberField({ label, hint, value, isDisabled, onChange }: { label: string; hint: string; value: unknown; isDisabled: boolean; onChange: (value: unknown) => void }) {
  return (
    <label className="field">{label}
      <input inputMode="decimal" value={shown(value)} placeholder={hint} disabled={isDisabled} onChange={({ currentTarget }) => onChange(numeric(currentTarget.value))} />
    </label>
  );
}

/** A number where it is one; what is half typed stays, and the server says what is wrong with it. */
function numeric(text: string): number | string | undefined {
  if (text.trim() === "") return undefined;
  const number = Number(text);
  return Number.isFinite(number) && String(number) === text.trim() ? number : text;
}

function without<Kind extends Record<string, unknown>>(object: Kind): Kind {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Kind;
}

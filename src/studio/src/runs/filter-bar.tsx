import { type Filters, instant, localTime, STATUSES, TRIGGERS } from "./filters";
import type { Names } from "./names";

interface FilterBarProps {
  filters: Filters;
  names: Names;
  onChange: (changes: Partial<Filters>) => void;
}

export function FilterBar({ filters, names, onChange }: FilterBarProps) {
  const { workflowId, statuses, trigger, since, until } = filters;
  const count = [workflowId, trigger, since, until].filter((each) => each !== undefined).length + statuses.length;
  const toggle = (status: (typeof STATUSES)[number]) =>
    onChange({ statuses: STATUSES.filter((each) => (each === status) !== statuses.includes(each)) });
  return (
    <details className="run-filters" open={count > 0 || window.matchMedia("(min-width: 48rem)").matches}>
      <summary>Filters{count > 0 && ` (${count})`}</summary>
      <search className="row">
        <label>
          Workflow{" "}
          <select value={workflowId ?? ""} onChange={(event) => onChange({ workflowId: event.currentTarget.value || undefined })}>
            <option value="">any</option>
            {workflowId !== undefined && !names.has(workflowId) && <option value={workflowId}>{workflowId}</option>}
            {[...names.values()].map(({ id, name, version }) => <option key={id} value={id}>{name} (v{version})</option>)}
          </select>
        </label>
        <fieldset>
          <legend className="visually-hidden">Status</legend>
          {STATUSES.map((each) => (
            <label key={each}><input type="checkbox" checked={statuses.includes(each)} onChange={() => toggle(each)} /> {each}</label>
          ))}
        </fieldset>
        <label>
          Started by{" "}
          <select value={trigger ?? ""} onChange={(event) => onChange({ trigger: TRIGGERS.find((each) => each === event.currentTarget.value) })}>
            <option value="">anything</option>
            {TRIGGERS.map((each) => <option key={each}>{each}</option>)}
          </select>
        </label>
        <label>From <input type="datetime-local" value={localTime(since)} onChange={(event) => onChange({ since: instant(event.currentTarget.value) })} /></label>
        <label>Until <input type="datetime-local" value={localTime(until)} onChange={(event) => onChange({ until: instant(event.currentTarget.value) })} /></label>
        {count > 0 && (
          <button type="button" onClick={() => onChange({ workflowId: undefined, statuses: [], trigger: undefined, since: undefined, until: undefined })}>Clear</button>
        )}
      </search>
    </details>
  );
}

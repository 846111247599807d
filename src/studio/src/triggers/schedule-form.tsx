import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, useState } from "react";

import { answer, newKey, type Schedule, type Schemas, useClient } from "../api/client";
import { Dialog, DialogActions } from "../ui/dialog";
import { writeJson } from "../ui/exact";
import { JsonField, jsonObject, jsonObjectFault } from "../ui/json-field";
import { ProblemNote } from "../ui/problem";
import { PreviewBefore } from "./preview";
import { schedulesKey } from "./schedules-key";

type Wanted = Required<Pick<Schemas["ScheduleInput"], "name" | "cron" | "timezone" | "enabled" | "overlap" | "catch_up" | "jitter">>;

const ZONES = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((each) => each !== "UTC")];
const EXAMPLES = [["*/10 * * * *", "every 10 minutes"], ["0 9 * * MON-FRI", "at 9:00 on weekdays"], ["@daily", "at midnight"], ["0 0 1 * *", "on the first of a month"]];
const OVERLAPS: [Wanted["overlap"], string][] = [["skip", "leave that time out"], ["allow", "start another one"], ["queue", "start one when it has ended"]];
const CATCH_UPS: [Wanted["catch_up"], string][] = [["none", "nothing"], ["last", "the last time only"], ["all", "all of them, up to 1,000"]];

interface ScheduleFormProps {
  workflowId: string;
  /** The one to change; undefined for a new one. */
  schedule: Schedule | undefined;
  taken: readonly string[];
  onClose: () => void;
}

function wantedOf(schedule: Schedule | undefined, taken: readonly string[]): Wanted {
  if (schedule === undefined) {
    const timezone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    return { name: taken.includes("default") ? "" : "default", cron: "", timezone, enabled: true, overlap: "skip", catch_up: "none", jitter: 0 };
  }
  const { name, cron, timezone, enabled, overlap, catch_up, jitter } = schedule;
  return { name, cron, timezone, enabled, overlap, catch_up, jitter };
}

export function ScheduleForm({ workflowId, schedule, taken, onClose }: ScheduleFormProps) {
  const client = useClient();
  const queries = useQueryClient();
  const [wanted, setWanted] = useState(() => wantedOf(schedule, taken));
  const [input, setInput] = useState(() => writeJson(schedule?.input ?? {}, 2));
  const [key, setKey] = useState(newKey);
  const change = (changes: Partial<Wanted>) => {
    setWanted({ ...wanted, ...changes });
    setKey(newKey());
  };
  const save = useMutation({
    mutationFn: () =>
      answer(client.POST("/api/v1/triggers/schedule", {
        params: { header: { "X-Idempotency-Key": key } }, body: { ...wanted, workflow_id: workflowId, input: jsonObject(input) },
      })),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: schedulesKey(workflowId) });
      onClose();
    },
  });
  const isTaken = schedule === undefined && taken.includes(wanted.name);
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <Dialog title={schedule === undefined ? "New schedule" : `Schedule ${schedule.name}`} onClose={onClose}>
      <form onSubmit={submit} className="schedule-form">
        {schedule === undefined && (
          <>
            <label>Name <input value={wanted.name} onChange={(event) => change({ name: event.currentTarget.value })} required maxLength={200} aria-invalid={isTaken} /></label>
            <p className="problem" aria-live="polite">{isTaken && "There is a schedule of this name: edit that one."}</p>
          </>
        )}
        <label>
          Cron <input className="mono" value={wanted.cron} onChange={(event) => change({ cron: event.currentTarget.value })} required maxLength={200} spellCheck={false}
            list="crons" aria-describedby="cron-says" data-first="" />
        </label>
        <datalist id="crons">{EXAMPLES.map(([value, says]) => <option key={value} value={value}>{says}</option>)}</datalist>
        <p id="cron-says" className="note">Minute, hour, day of month, month, day of week: <code>0 9 * * MON-FRI</code>; or <code>@hourly</code>, <code>@daily</code> and so on.</p>
        <label>
          Time zone <input value={wanted.timezone} onChange={(event) => change({ timezone: event.currentTarget.value })} required maxLength={64} list="zones" spellCheck={false} />
        </label>
        <datalist id="zones">{ZONES.map((zone) => <option key={zone} value={zone} />)}</datalist>
        <PreviewBefore cron={wanted.cron.trim()} timezone={wanted.timezone.trim()} />
        <JsonField label="Input of its runs (JSON)" value={input} rows={4} onChange={(value) => { setInput(value); setKey(newKey()); }} />
        <label>
          When a run of it still goes on
          <select value={wanted.overlap} onChange={(event) => change({ overlap: OVERLAPS.find(([each]) => each === event.currentTarget.value)?.[0] ?? "skip" })}>
            {OVERLAPS.map(([value, says]) => <option key={value} value={value}>{says}</option>)}
          </select>
        </label>
        <label>
          After nothing ran for a while, make up for
          <select value={wanted.catch_up} onChange={(event) => change({ catch_up: CATCH_UPS.find(([each]) => each === event.currentTarget.value)?.[0] ?? "none" })}>
            {CATCH_UPS.map(([value, says]) => <option key={value} value={value}>{says}</option>)}
          </select>
        </label>
        <label>
          Begin up to so many seconds later, to spread load
          <input type="number" min={0} max={3600} step={1} value={wanted.jitter} onChange={(event) => change({ jitter: event.currentTarget.valueAsNumber || 0 })} />
        </label>
        <label><input type="checkbox" checked={wanted.enabled} onChange={(event) => change({ enabled: event.currentTarget.checked })} /> Active</label>
        <ProblemNote error={save.error} />
        <DialogActions>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={save.isPending || isTaken || jsonObjectFault(input) !== undefined}>Save</button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

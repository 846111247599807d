import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { answer, type Schemas, useClient } from "../api/client";
import { ProblemNote } from "../ui/problem";
import { Moment } from "../ui/time";

const SHOWN = 10, SHOWN_BEFORE = 3, QUIET_MS = 400;

interface PreviewProps {
  scheduleId: string;
  name: string;
  cron: string;
  timezone: string;
}

/** When a schedule is due next, and what changes of the clock do to that. */
export function Preview({ scheduleId, name, cron, timezone }: PreviewProps) {
  const client = useClient();
  const [isOpen, setIsOpen] = useState(false);
  const { data, error } = useQuery({
    queryKey: ["schedule-preview", scheduleId, cron, timezone],
    queryFn: ({ signal }) =>
      answer(client.GET("/api/v1/triggers/schedules/{schedule_id}/preview", { signal, params: { path: { schedule_id: scheduleId }, query: { n: SHOWN } } })),
    enabled: isOpen,
  });
  return (
    <details onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>The next {SHOWN} times<span className="visually-hidden"> of {name}</span></summary>
      <ProblemNote error={error} />
      {data !== undefined && <Times items={data.items} timezone={timezone} />}
    </details>
  );
}

/** When a schedule would be due that is still being written. */
export function PreviewBefore({ cron, timezone }: { cron: string; timezone: string }) {
  const client = useClient();
  const [asked, setAsked] = useState({ cron, timezone });
  useEffect(() => {
    const timer = setTimeout(() => setAsked({ cron, timezone }), QUIET_MS);
    return () => clearTimeout(timer);
  }, [cron, timezone]);
  const { data, error } = useQuery({
    queryKey: ["cron-preview", asked], enabled: asked.cron !== "" && asked.timezone !== "", placeholderData: keepPreviousData,
    queryFn: ({ signal }) => answer(client.GET("/api/v1/triggers/schedules/preview", { signal, params: { query: { ...asked, n: SHOWN_BEFORE } } })),
  });
  return (
    <div className="preview-before" aria-live="polite">
      {error !== null ? <p className="problem">{error.message}</p> : data !== undefined && cron !== "" && <Times items={data.items} timezone={asked.timezone} />}
    </div>
  );
}

function Times({ items, timezone }: { items: readonly Schemas["DueResponse"][]; timezone: string }) {
  if (items.length === 0) return <p className="note">It is not due any more.</p>;
  return (
    <div className="wide">
      <table>
        <thead><tr><th scope="col">Next in {timezone}</th><th scope="col">For you</th><th scope="col">Notes</th></tr></thead>
        <tbody>
          {items.map((due) => (
            <tr key={due.at}>
              <td className="mono">{due.local.replace("T", " ")}</td>
              <td><Moment at={due.at} /></td>
              <td>{notesOf(due)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function notesOf({ is_moved, is_first_of_two, merged }: Schemas["DueResponse"]): string {
  return [
    is_moved && "moved to the end of a gap: the clock is put forward",
    is_first_of_two && "the clock shows this time twice that day: the first counts",
    merged > 0 && `stands for ${merged + 1} times that came to the same instant`,
  ].filter((each) => each !== false).join("; ");
}

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { answer, type Schemas, useClient } from "../api/client";
import { ProblemNote } from "../ui/problem";
import { Moment } from "../ui/time";

const SHOWN = 10;

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
      {data?.items.length === 0 && <p className="note">It is not due any more.</p>}
      {data !== undefined && data.items.length > 0 && (
        <div className="wide">
          <table>
            <thead><tr><th scope="col">In {timezone}</th><th scope="col">For you</th><th scope="col">Notes</th></tr></thead>
            <tbody>
              {data.items.map((due) => (
                <tr key={due.at}>
                  <td className="mono">{due.local.replace("T", " ")}</td>
                  <td><Moment at={due.at} /></td>
                  <td>{notesOf(due)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}

function notesOf({ is_moved, is_first_of_two, merged }: Schemas["DueResponse"]): string {
  return [
    is_moved && "moved to the end of a gap: the clock is put forward",
    is_first_of_two && "the clock shows this time twice that day: the first counts",
    merged > 0 && `stands for ${merged + 1} times that came to the same instant`,
  ].filter((each) => each !== false).join("; ");
}

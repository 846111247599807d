const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** An instant, in the reader's own zone. */
export function Moment({ at }: { at: string | null | undefined }) {
  if (at === null || at === undefined) return <>–</>;
  return <time dateTime={at} title={at}>{MOMENT.format(new Date(at))}</time>;
}

const TODAY = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const EARLIER = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });

/** An instant as narrow columns have room for: of today, the time alone. */
export function ShortMoment({ at }: { at: string }) {
  const moment = new Date(at);
  const isToday = moment.toDateString() === new Date().toDateString();
  return <time dateTime={at} title={MOMENT.format(moment)}>{(isToday ? TODAY : EARLIER).format(moment)}</time>;
}

/** How long something takes: `12 ms`, `3.4 s`, `5 min 20 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

import { duration } from "../ui/time";
import type { Fact } from "./events";
import { Rows } from "./rows";
import "./event-list.css";

const ROW = 26;

interface EventListProps {
  facts: readonly Fact[];
  /** How many of them are known; more are added at the end. */
  count: number;
  /** The event that the page is as of; undefined for now. */
  seq: number | undefined;
  onSeq: (seq: number) => void;
}

/** All events of the run; choosing one shows the run as it was right after it. */
export function EventList({ facts, count, seq, onSeq }: EventListProps) {
  const start = facts[0]?.at ?? 0;
  if (count === 0) return <p className="empty">No events yet.</p>;
  return (
    <Rows label="Events" className="event-list" count={count} height={ROW} active={(seq ?? count) - 1} keyOf={(index) => `${index}`} onChoose={(index) => onSeq(index + 1)}>
      {(index) => {
        const fact = facts[index];
        if (fact === undefined) return null;
        return (
          <span className="event-row">
            <span className="event-seq">{fact.seq}</span>
            <span className="event-at">+{duration(fact.at - start)}</span>
            <span className="event-name">{fact.event}</span>
            <span className="event-step">{fact.stepId ?? ""}</span>
            {fact.error !== undefined && <span className="event-error problem">{fact.error}</span>}
          </span>
        );
      }}
    </Rows>
  );
}

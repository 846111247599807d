import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowUp } from "lucide-react";
import { type CSSProperties, memo, useEffect, useRef, useState } from "react";
import { Link } from "wouter";

import { Status } from "../ui/status";
import { ShortMoment } from "../ui/time";
import { Elapsed } from "./elapsed";
import { type Names, useName } from "./names";
import type { Row } from "./row";

const ROW_PX = 36, AT_TOP_PX = 8, AHEAD = 30;

interface RunTableProps {
  rows: readonly Row[];
  names: Names;
  hasMore: boolean;
  isLoadingMore: boolean;
  onMore: () => void;
  /** Whether somebody has scrolled down: what they read must stay where it is. */
  onHold: (isHeld: boolean) => void;
}

/** Rows of which only those in sight are there; new ones wait above while somebody has scrolled down. */
export function RunTable({ rows, names, hasMore, isLoadingMore, onMore, onHold }: RunTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [newest, setNewest] = useState<string>(); // where it was when it was scrolled down
  const shown = newest === undefined ? rows : rows.filter(({ id }) => id <= newest);
  const waiting = rows.length - shown.length;
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing that it returns is passed on to what is memoized
  const virtual = useVirtualizer({
    count: shown.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_PX, overscan: 12,
    getItemKey: (index) => shown[index]?.id ?? index,
  });
  const items = virtual.getVirtualItems();
  const isNearEnd = (items.at(-1)?.index ?? 0) >= shown.length - AHEAD;
  useEffect(() => {
    if (hasMore && isNearEnd && !isLoadingMore) onMore();
  }, [hasMore, isNearEnd, isLoadingMore, onMore]);

  const scrolled = (top: number) => {
    const isHeld = top > AT_TOP_PX;
    setNewest((before) => (isHeld ? before ?? rows[0]?.id : undefined));
    onHold(isHeld);
  };
  const showNew = () => {
    scroller.current?.scrollTo({ top: 0 });
    scroller.current?.focus();
  };
  return (
    <div className="run-table">
      {waiting > 0 && (
        <button type="button" className="primary new-runs" onClick={showNew}><ArrowUp size={14} aria-hidden="true" /> {waiting.toLocaleString()} new</button>
      )}
      <div ref={scroller} className="run-scroll" tabIndex={0} role="region" aria-label="List of runs" onScroll={(event) => scrolled(event.currentTarget.scrollTop)}>
        <div role="table" aria-label="Runs" aria-rowcount={hasMore ? -1 : shown.length + 1}>
          <div role="row" className="run-row run-head" aria-rowindex={1}>
            <span role="columnheader">Status</span><span role="columnheader">Workflow</span><span role="columnheader" className="by">Started by</span>
            <span role="columnheader">Created</span><span role="columnheader" className="took">Took</span><span role="columnheader" className="error">Error</span>
          </div>
          <div role="rowgroup" className="run-rows" style={{ height: virtual.getTotalSize() }}>
            {items.map(({ index, key, start }) => {
              const row = shown[index];
              return row !== undefined && <RunRow key={key} row={row} index={index} top={start} names={names} />;
            })}
          </div>
        </div>
        {isLoadingMore && <p className="note loading-more" role="status">Loading more …</p>}
      </div>
    </div>
  );
}

interface RunRowProps {
  row: Row;
  index: number;
  top: number;
  names: Names;
}

const RunRow = memo(function RunRow({ row, index, top, names }: RunRowProps) {
  const { id, workflowId, version, trigger, createdAt, status, startedAt, completedAt, error } = row;
  const name = useName(names, workflowId);
  const place: CSSProperties = { transform: `translateY(${top}px)` };
  return (
    <div role="row" className="run-row" aria-rowindex={index + 2} style={place}>
      <span role="cell"><Status status={status} /></span>
      <span role="cell" className="name">
        <Link href={`/runs/${id}`}>{name}<span className="visually-hidden">, run {id}</span></Link> <span className="note">v{version}</span>
      </span>
      <span role="cell" className="by note">{trigger}</span>
      <span role="cell"><ShortMoment at={createdAt} /></span>
      <span role="cell" className="took"><Elapsed status={status} startedAt={startedAt} completedAt={completedAt} /></span>
      <span role="cell" className="error note" title={error ?? undefined}>{error}</span>
    </div>
  );
}, (one, other) => one.top === other.top && one.index === other.index && one.names === other.names && isSame(one.row, other.row));

function isSame(one: Row, other: Row): boolean {
  return one === other || (one.id === other.id && one.status === other.status && one.startedAt === other.startedAt
    && one.completedAt === other.completedAt && one.error === other.error);
}

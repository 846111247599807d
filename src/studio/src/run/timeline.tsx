import { Maximize, ZoomIn, ZoomOut } from "lucide-react";
import { useMemo, useState } from "react";

import { duration } from "../ui/time";
import { Rows } from "./rows";
import { ENDED, type RunState } from "./replay";
import { type Span, spansOf, ticksOf } from "./spans";
import { useNow } from "./use-now";
import "./timeline.css";

const ROW = 26, MAX_ZOOM = 64;

interface TimelineProps {
  state: RunState;
  /** Shown as it was, so that time stands still. */
  isPast: boolean;
  labelOf: (nodeId: string) => string;
  selected: string | undefined;
  attempt: number | undefined;
  onSelect: (stepId: string, attempt: number) => void;
}

/** When each attempt ran, and for how long. */
export function Timeline({ state, isPast, labelOf, selected, attempt: chosen, onSelect }: TimelineProps) {
  const [zoom, setZoom] = useState(1);
  const spans = useMemo(() => spansOf(state), [state]);
  const isRunning = !ENDED.has(state.status) && !isPast;
  const now = useNow(isRunning);
  const start = Math.min(state.startedAt ?? Infinity, spans[0]?.attempt.startedAt ?? Infinity);
  const end = Math.max(state.endedAt ?? (isRunning ? now : (state.at ?? 0)), start + 1);
  if (spans.length === 0) return <p className="empty">No step has begun yet.</p>;

  const wanted = spans.findIndex(({ step, attempt }) => step.id === selected && attempt.number === chosen);
  const active = wanted >= 0 ? wanted : spans.findLastIndex(({ step }) => step.id === selected);
  const length = end - start;
  const seen = spans[active]?.attempt;
  const at = (instant: number) => `${((instant - start) / length) * 100}%`;
  return (
    <>
      <div className="row timeline-tools" role="group" aria-label="Zoom">
        <button type="button" aria-label="Show more of the time" disabled={zoom === 1} onClick={() => setZoom(zoom / 2)}><ZoomOut size={14} aria-hidden="true" /></button>
        <button type="button" aria-label="Show less of the time" disabled={zoom === MAX_ZOOM} onClick={() => setZoom(zoom * 2)}><ZoomIn size={14} aria-hidden="true" /></button>
        <button type="button" disabled={zoom === 1} onClick={() => setZoom(1)}><Maximize size={14} aria-hidden="true" /> Fit</button>
        <span className="note">{spans.length} attempts in {duration(length)}</span>
      </div>
      <Rows
        label="Timeline" className="timeline" count={spans.length} height={ROW} active={active} zoom={zoom} focus={seen && (seen.startedAt - start) / length}
        keyOf={(index) => keyOf(spans[index])}
        onChoose={(index) => {
          const span = spans[index];
          if (span !== undefined) onSelect(span.step.id, span.attempt.number);
        }}
        head={(
          <div className="timeline-row timeline-head" aria-hidden="true">
            <span className="timeline-label" />
            <span className="timeline-track">{ticksOf(length, zoom).map((tick) => <span key={tick} className="tick" style={{ left: at(start + tick) }}>{tick === 0 ? "0" : duration(tick)}</span>)}</span>
          </div>
        )}
      >
        {(index) => {
          const span = spans[index];
          if (span === undefined) return null;
          const { step, attempt } = span;
          const took = (attempt.endedAt ?? end) - attempt.startedAt;
          const name = step.map === undefined ? labelOf(step.nodeId) : step.id;
          return (
            <span className="timeline-row">
              <span className="timeline-label" title={step.id}>{name}{step.attempts.length > 1 && ` #${attempt.number}`}</span>
              <span className="timeline-track">
                <span className={`bar ${attempt.status}`} style={{ left: at(attempt.startedAt), width: `max(3px, ${(took / length) * 100}%)` }} />
                <span className="took" style={took / length > 0.5 ? { left: at(attempt.startedAt) } : { left: `calc(${at(attempt.startedAt + took)} + 6px)` }} data-inside={took / length > 0.5}>{duration(took)}</span>
              </span>
              <span className="visually-hidden">, {attempt.status}, began {duration(Math.max(attempt.startedAt - start, 0))} after the start</span>
            </span>
          );
        }}
      </Rows>
    </>
  );
}

function keyOf(span: Span | undefined): string {
  return span === undefined ? "" : `${span.step.id} ${span.attempt.number}`;
}

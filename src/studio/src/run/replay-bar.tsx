import { ChevronFirst, ChevronLeft, ChevronRight, Pause, Play, Radio } from "lucide-react";
import { useEffect, useState } from "react";

import { duration } from "../ui/time";
import type { Fact } from "./events";
import { seqAt, showtimes } from "./player";
import "./replay-bar.css";

interface ReplayBarProps {
  facts: readonly Fact[];
  count: number;
  /** Undefined while the page shows how it is now. */
  seq: number | undefined;
  onSeq: (seq: number | undefined) => void;
  isOver: boolean;
}

/** Goes back to any event of the run, and plays it from there. */
export function ReplayBar({ facts, count, seq, onSeq, isOver }: ReplayBarProps) {
  const [isPlaying, setIsPlaying] = useState(false);
  const shown = Math.min(seq ?? count, count);
  const fact = facts[shown - 1];
  const go = (wanted: number) => {
    setIsPlaying(false);
    onSeq(Math.min(Math.max(wanted, 1), count));
  };
  const play = () => {
    if (shown >= count) onSeq(1);
    setIsPlaying(!isPlaying);
  };

  useEffect(() => {
    if (!isPlaying) return;
    const times = showtimes(facts.slice(0, count));
    const begun = performance.now() - (times[(shown >= count ? 1 : shown) - 1] ?? 0);
    let last = 0;
    let frame = requestAnimationFrame(function next(now) {
      const reached = Math.max(seqAt(times, now - begun), 1);
      if (reached !== last) onSeq(reached);
      last = reached;
      if (reached >= count) setIsPlaying(false);
      else frame = requestAnimationFrame(next);
    });
    return () => cancelAnimationFrame(frame);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- goes by the clock from where it was begun
  }, [isPlaying]);

  const said = fact === undefined ? "" : `${fact.event}${fact.stepId === null ? "" : ` ${fact.stepId}`}`;
  return (
    <div className="replay" role="group" aria-label="Replay">
      <button type="button" aria-label="First event" disabled={shown <= 1} onClick={() => go(1)}><ChevronFirst size={14} aria-hidden="true" /></button>
      <button type="button" aria-label="Previous event" disabled={shown <= 1} onClick={() => go(shown - 1)}><ChevronLeft size={14} aria-hidden="true" /></button>
      <button type="button" onClick={play}>{isPlaying ? <Pause size={14} aria-hidden="true" /> : <Play size={14} aria-hidden="true" />} {isPlaying ? "Pause" : "Play"}</button>
      <button type="button" aria-label="Next event" disabled={shown >= count} onClick={() => go(shown + 1)}><ChevronRight size={14} aria-hidden="true" /></button>
      <input
        type="range" aria-label="Event" min={1} max={Math.max(count, 1)} value={Math.max(shown, 1)} onChange={(event) => go(event.currentTarget.valueAsNumber)}
        aria-valuetext={`Event ${shown} of ${count}: ${said}`}
      />
      <button type="button" className={seq === undefined ? "" : "primary"} disabled={seq === undefined} onClick={() => { setIsPlaying(false); onSeq(undefined); }}>
        <Radio size={14} aria-hidden="true" /> {isOver ? "End" : "Now"}
      </button>
      <span className="replay-said note">{shown}/{count} · {said} {fact !== undefined && <>· +{duration(fact.at - (facts[0]?.at ?? fact.at))}</>}</span>
    </div>
  );
}

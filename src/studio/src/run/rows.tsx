import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef } from "react";

interface RowsProps {
  label: string;
  count: number;
  height: number;
  /** The row that is chosen, if any. */
  active: number;
  onChoose: (index: number) => void;
  keyOf: (index: number) => string;
  children: (index: number) => ReactNode;
  /** Above the rows, and scrolled sideways with them. */
  head?: ReactNode;
  /** How much wider than the place that it has. */
  zoom?: number;
  /** Where across that width the row that is chosen has something to see: from 0 to 1. */
  focus?: number | undefined;
  className?: string;
}

const PAGE = 10;

/** A list of any length of which one row is chosen: with the arrow keys, or by pointing at it. Only what is seen is there. */
export function Rows({ label, count, height, active, onChoose, keyOf, children, head, zoom = 1, focus, className = "" }: RowsProps) {
  const scrolled = useRef<HTMLDivElement>(null);
  const id = useId();
  // eslint-disable-next-line react-hooks/incompatible-library -- what it gives is used in this component only
  const rows = useVirtualizer({ count, getScrollElement: () => scrolled.current, estimateSize: () => height, overscan: 8 });
  useEffect(() => {
    if (active >= 0 && active < count) rows.scrollToIndex(active);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- follow what is chosen, and leave the reader alone as rows are added
  }, [active]);

  useEffect(() => {
    const element = scrolled.current;
    if (element !== null && focus !== undefined) element.scrollLeft = focus * element.scrollWidth - element.clientWidth / 3;
    // eslint-disable-next-line react-hooks/exhaustive-deps -- as above: not while time goes on
  }, [active, zoom]);

  const move = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + PAGE, PageUp: active - PAGE, Home: 0, End: count - 1 };
    const wanted = steps[event.key];
    if (wanted === undefined || count === 0) return;
    event.preventDefault();
    onChoose(Math.min(Math.max(wanted, 0), count - 1));
  };
  return (
    <div
      ref={scrolled} className={`rows ${className}`} role="listbox" aria-label={label} tabIndex={0} onKeyDown={move}
      aria-activedescendant={active >= 0 && active < count ? `${id}-${active}` : undefined}
    >
      <div role="presentation" style={{ width: `${zoom * 100}%`, minWidth: "100%" }}>
        {head}
        <div role="presentation" style={{ height: rows.getTotalSize(), position: "relative" }}>
          {rows.getVirtualItems().map(({ index, start }) => (
            <div
              key={keyOf(index)} id={`${id}-${index}`} role="option" aria-selected={index === active} aria-setsize={count} aria-posinset={index + 1} className="rows-row"
              style={{ height, transform: `translateY(${start}px)` }} onClick={() => onChoose(index)}
            >
              {children(index)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

import { useCallback, useEffect, useMemo, useState } from "react";

import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { type Feed, listing } from "./feed";
import type { Filters } from "./filters";
import { useRunPages } from "./list";
import type { Names } from "./names";
import { RunTable } from "./table";
import { useFeed } from "./use-feed";

const MOST_HEARD = 5000, PATIENCE_MS = 3000;
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** The list that the API gives, kept up to date by the feed. */
export function LiveRuns({ filters, names }: { filters: Filters; names: Names }) {
  const [feed, tell, refusal] = useFeed(filters.workflowId);
  const pages = useRunPages(filters);
  const [isHeld, setIsHeld] = useState(false);
  const read = useMemo(() => pages.data?.pages.flatMap((page) => page.rows) ?? [], [pages.data]);
  const { rows, isIncomplete } = useMemo(() => listing(read, feed, filters, pages.hasNextPage), [read, feed, filters, pages.hasNextPage]);

  // What happened before the feed came to life, or while nobody listened, only the API says.
  const { refetch } = pages;
  const readAnew = useCallback(() => {
    tell({ type: "doubted" });
    void refetch().then(({ isSuccess }) => isSuccess && tell({ type: "read" }));
  }, [refetch, tell]);
  useEffect(() => {
    if (feed.lives > 0) readAnew();
  }, [feed.lives, readAnew]);
  const isFull = feed.heard.size > MOST_HEARD && !isHeld;
  useEffect(() => {
    if (!isIncomplete && !isFull) return;
    const timer = setTimeout(readAnew, PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [isIncomplete, isFull, readAnew]);

  return (
    <>
      <div className="row run-summary">
        <Link feed={feed} refusal={refusal} />
        {pages.isSuccess && <span className="note">{rows.length.toLocaleString()}{pages.hasNextPage && "+"} {rows.length === 1 ? "run" : "runs"}</span>}
      </div>
      <ProblemNote error={pages.error} />
      {pages.isPending && <Loading />}
      {pages.isSuccess && rows.length === 0 && <p className="empty" role="status">No run is like that. New ones show up here by themselves.</p>}
      {rows.length > 0 && (
        <RunTable
          rows={rows} names={names} hasMore={pages.hasNextPage} isLoadingMore={pages.isFetchingNextPage} onHold={setIsHeld}
          onMore={() => void pages.fetchNextPage({ cancelRefetch: false })}
        />
      )}
    </>
  );
}

/** Whether what is shown is how things are. */
function Link({ feed: { link, asOf }, refusal }: { feed: Feed; refusal: string | undefined }) {
  const moment = asOf === undefined ? "" : `, as of ${TIME.format(asOf)}`;
  const words = refusal !== undefined ? `Not live: ${refusal}` : link === "live" ? "Live" : link === "lost" ? `Reconnecting …${moment}` : "Connecting …";
  return <span role="status" className={`chip ${link === "live" ? "good" : "bad"}`}><span aria-hidden="true">{link === "live" ? "●" : "○"}</span> {words}</span>;
}

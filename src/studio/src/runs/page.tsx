import { useMemo } from "react";
import { useSearchParams } from "wouter";

import { useTitle } from "../ui/title";
import { FilterBar } from "./filter-bar";
import { type Filters, filtersOf, queryOf } from "./filters";
import { LiveRuns } from "./live";
import { useNames } from "./names";
import { Queue } from "./queue";
import "./runs.css";

/** The runs of all workflows, or of one, as they happen. */
export default function Runs() {
  useTitle("Runs");
  const [query, setQuery] = useSearchParams();
  const written = query.toString();
  const filters = useMemo(() => filtersOf(new URLSearchParams(written)), [written]);
  const names = useNames();
  const change = (changes: Partial<Filters>) => setQuery(queryOf({ ...filters, ...changes }), { replace: true });
  return (
    <div className="runs-page">
      <div className="page-head">
        <h1>Runs</h1>
        <Queue workflowId={filters.workflowId} />
      </div>
      <FilterBar filters={filters} names={names} onChange={change} />
      <LiveRuns key={filters.workflowId ?? ""} filters={filters} names={names} />
    </div>
  );
}

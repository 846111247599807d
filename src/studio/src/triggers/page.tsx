import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";

import { answer, useClient } from "../api/client";
import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { useTitle } from "../ui/title";
import { HookSection } from "./hook";
import { Schedules } from "./schedules";
import { Webhook } from "./webhook";
import "./triggers.css";

/** What starts a workflow beside people, and whom it tells when it has run. */
export default function Triggers({ id }: { id: string }) {
  const client = useClient();
  const { data: workflow, error } = useQuery({
    queryKey: ["workflow", id, "triggers"],
    queryFn: ({ signal }) => answer(client.GET("/api/v1/workflows/{workflow_id}", { signal, params: { path: { workflow_id: id } } })),
  });
  useTitle(workflow && `Triggers of ${workflow.name}`);
  return (
    <div className="page triggers">
      {workflow === undefined
        ? <>{error === null ? <Loading /> : <ProblemNote error={error} />}</>
        : (
          <>
            <div className="page-head">
              <h1>Triggers of {workflow.name} <span className="note">v{workflow.version}</span></h1>
              <Link className="button" href={`/workflows/${id}`}>Open the workflow</Link>
              <Link className="button" href={`/runs?workflow_id=${id}`}>Its runs</Link>
            </div>
            <Webhook workflow={workflow} />
            <Schedules workflow={workflow} />
            <HookSection workflowId={id} />
          </>
        )}
    </div>
  );
}

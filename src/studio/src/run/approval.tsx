import { useMutation } from "@tanstack/react-query";
import { lazy, Suspense } from "react";

import { answer, type Run, useClient } from "../api/client";
import { ProblemError } from "../api/problem";
import { Loading } from "../ui/loading";
import { ProblemNote } from "../ui/problem";
import { useEventData } from "./event-data";
import { record } from "./events";
import type { StepState } from "./replay";

const DataForm = lazy(() => import("../forms/data-form"));

interface ApprovalProps {
  run: Run;
  step: StepState;
  isPast: boolean;
}

/** What a person is asked, and the form to answer. */
export function Approval({ run, step, isPast }: ApprovalProps) {
  const client = useClient();
  const asked = useEventData(run.id, step.attempts.at(-1)?.startedSeq);
  const resume = useMutation({
    mutationFn: (data: Record<string, unknown>) => answer(client.POST("/api/v1/runs/{run_id}/resume", {
      params: { path: { run_id: run.id } }, body: { step_id: step.id, data },
    })),
  });
  const isLate = resume.error instanceof ProblemError && resume.error.status === 409;
  if (step.waitsFor !== "person") return isLate ? <Late error={resume.error} /> : null;
  if (isPast) return <p className="note">It waited for an answer here. Go back to now to give one.</p>;
  if (asked.isPending) return <Loading />;
  const config = record(asked.data?.input);
  return (
    <section aria-label="Your answer" className="approval">
      <h3>Your answer</h3>
      {typeof config?.message === "string" && config.message !== "" && <p className="approval-message">{config.message}</p>}
      {isLate ? <Late error={resume.error} /> : <ProblemNote error={asked.error ?? resume.error} />}
      {resume.isSuccess
        ? <p role="status">Your answer is taken, and the run goes on.</p>
        : (
          <Suspense fallback={<Loading />}><DataForm
            schema={record(config?.schema) ?? null} label="Answer" at="/data" issues={resume.error instanceof ProblemError ? resume.error.issues : []}
            onSubmit={(data) => resume.mutate(data)}
          >
            <button type="submit" className="primary" disabled={resume.isPending}>{resume.isPending ? "Sending …" : "Send answer"}</button>
          </DataForm></Suspense>
        )}
    </section>
  );
}

function Late({ error }: { error: unknown }) {
  return (
    <>
      <ProblemNote error={error} />
      <p>Your answer was not taken: somebody has answered before you, the time to answer was over, or the run has ended. The canvas shows how it went on.</p>
    </>
  );
}

// Start, watch, replay, cancel, take up again: what a run monitor does.
import { answered, connect, equal, expect, header, refused, type Client, type Place } from "./client";
import { published } from "./editing";
import { chain, fail, greet, wait } from "./graphs";
import { bearing, events, watch } from "./socket";

async function start(client: Client, workflowId: string, name = "Ada") {
  return client.POST("/api/v1/workflows/{workflow_id}/run", {
    params: { path: { workflow_id: workflowId }, header: { "X-Idempotency-Key": `for-${name}` } },
    body: { input: { name } },
  });
}

/** Started once, watched live to its end; the same events again by REST, and on a second socket by ticket. */
export async function run(place: Place): Promise<void> {
  const client = connect(place);
  const workflowId = await published(client, chain(wait("PT0.2S"), greet()));

  const started = await start(client, workflowId);
  const { id, status } = answered(started, 201);
  equal([status, header(started, "Location")], ["queued", `/api/v1/runs/${id}`], "status and Location");
  const live = await watch(place, id, { protocols: bearing(place.token), query: "?after=0" });
  const names = events(live);
  equal(live.protocol, "stepwire.v1", "the sub-protocol");
  equal([names[0], names.at(-1)], ["run.queued", "run.completed"], "the first and the last event");

  const params = { path: { run_id: id } };
  const done = answered(await client.GET("/api/v1/runs/{run_id}", { params }), 200);
  equal([done.status, done.output], ["completed", { greet: { text: "Hello Ada" } }], "status and output");
  equal(done.context?.steps["greet"]?.status, "completed", "the step in the context");
  const steps = answered(await client.GET("/api/v1/runs/{run_id}/steps", { params }), 200);
  equal(steps.items.map((step) => step.step_id), ["start", "wait", "greet"], "the steps");
  equal(await replayed(client, id), names, "the events once more");

  const again = await start(client, workflowId);
  equal([answered(again, 200).id, header(again, "Idempotency-Replayed")], [id, "true"], "the replay");
  equal(await byTicket(place, client, id), names, "the events by ticket");
}

/** All events by REST, three at a time. */
async function replayed(client: Client, id: string): Promise<string[]> {
  const names: string[] = [];
  let after: number | null = 0;
  while (after !== null) {
    const params: { path: { run_id: string }; query: { after: number; limit: number } } = {
      path: { run_id: id },
      query: { after, limit: 3 },
    };
    const part = answered(await client.GET("/api/v1/runs/{run_id}/events", { params }), 200);
    names.push(...part.items.map(({ event }) => event));
    after = part.next_after;
  }
  return names;
}

async function byTicket(place: Place, client: Client, id: string): Promise<string[]> {
  const params = { path: { run_id: id } };
  const { ticket } = answered(await client.POST("/api/v1/runs/{run_id}/socket-ticket", { params }), 201);
  const query = `?after=0&ticket=${encodeURIComponent(ticket)}`;
  const watched = await watch(place, id, { query });
  const second = await watch(place, id, { query });
  equal(second.code, 4401, "the close code of a ticket that was used");
  return events(watched);
}

/** The answer is held until the run rests, where the client prefers that. */
export async function hold(place: Place): Promise<void> {
  const client = connect(place);
  const answer = await client.POST("/api/v1/workflows/{workflow_id}/run", {
    params: { path: { workflow_id: await published(client) }, header: { Prefer: "wait=20" } },
    body: { input: { name: "Ada" } },
  });
  equal(answered(answer, 201).status, "completed", "the status of the held answer");
  equal(header(answer, "Preference-Applied"), "wait=20", "Preference-Applied");
}

/** A run that waits is stopped while it is watched. */
export async function cancel(place: Place): Promise<void> {
  const client = connect(place);
  const { id } = answered(await start(client, await published(client, chain(wait("PT1H")))), 201);
  const params = { path: { run_id: id } };
  let stop: (() => void) | undefined;
  const waiting = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const watching = watch(place, id, {
    protocols: bearing(place.token),
    query: "?after=0",
    onFrame: ({ event }) => {
      if (event === "step.waiting") stop?.();
    },
  });

  await waiting;
  answered(await client.POST("/api/v1/runs/{run_id}/cancel", { params }), 202);
  equal(events(await watching).at(-1), "run.cancelled", "the last event");
  equal(answered(await client.POST("/api/v1/runs/{run_id}/cancel", { params }), 200).status, "cancelled", "it");
  refused(await client.POST("/api/v1/runs/{run_id}/retry", { params }), 409, "run-not-failed");
}

/** A failed run says why, and is taken up again; one that is over can be neither cancelled nor resumed. */
export async function retry(place: Place): Promise<void> {
  const client = connect(place);
  const { id } = answered(await start(client, await published(client, chain(fail))), 201);
  const params = { path: { run_id: id } };
  const last = async (query: string) => events(await watch(place, id, { protocols: bearing(place.token), query })).at(-1);

  equal(await last("?after=0"), "run.failed", "the last event");
  const failed = answered(await client.GET("/api/v1/runs/{run_id}", { params }), 200);
  expect(failed.error?.message === "No.", "the run says why it failed");
  refused(await client.POST("/api/v1/runs/{run_id}/cancel", { params }), 409, "run-finished");
  const resume = await client.POST("/api/v1/runs/{run_id}/resume", { params, body: { step_id: "fail" } });
  refused(resume, 409, "run-not-paused");

  const seen = answered(await client.GET("/api/v1/runs/{run_id}/events", { params }), 200).items.at(-1);
  answered(await client.POST("/api/v1/runs/{run_id}/retry", { params }), 202);
  equal(await last(`?after=${seen?.seq ?? 0}`), "run.failed", "the last event of the second stretch");
}

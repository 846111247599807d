// Draw, change, validate, publish, copy, delete: what an editor does.
import { answered, connect, equal, expect, header, refused, type Client, type Place } from "./client";
import { chain, greet } from "./graphs";

/** Created once however often it is asked for; changed only by who has seen the last change. */
export async function draw(place: Place): Promise<void> {
  const client = connect(place);
  const body = { name: "Greeting", definition: chain(greet()) };
  const create = (name: string) =>
    client.POST("/api/v1/workflows", {
      params: { header: { "X-Idempotency-Key": "draw-1" } },
      headers: { "X-Request-ID": "drawn-by-hand" },
      body: { ...body, name },
    });

  const made = await create("Greeting");
  const workflow = answered(made, 201);
  equal(workflow.definition, body.definition, "the definition");
  equal([workflow.status, workflow.version], ["draft", 1], "status and version");
  equal(header(made, "Location"), `/api/v1/workflows/${workflow.id}`, "Location");
  equal(header(made, "X-Request-ID"), "drawn-by-hand", "X-Request-ID");

  const replayed = await create("Greeting");
  equal(answered(replayed, 200), workflow, "what the key made");
  equal(header(replayed, "Idempotency-Replayed"), "true", "Idempotency-Replayed");
  refused(await create("Another"), 422, "idempotency-key-reused");

  await change(client, workflow.id, header(made, "ETag"));
}

async function change(client: Client, id: string, seen: string): Promise<void> {
  const path = { workflow_id: id };
  const put = (etag: string, name: string) =>
    client.PUT("/api/v1/workflows/{workflow_id}", { params: { path, header: { "If-Match": etag } }, body: { name } });

  const changed = await put(seen, "Renamed");
  const workflow = answered(changed, 200);
  equal([workflow.name, workflow.description], ["Renamed", ""], "what was sent, and what was not");
  expect(header(changed, "ETag") !== seen, "a new ETag");
  refused(await put(seen, "By another tab"), 412, "stale");

  const known = { "If-None-Match": header(changed, "ETag") };
  const same = await client.GET("/api/v1/workflows/{workflow_id}", { params: { path, header: known } });
  equal(same.response.status, 304, "the status of what did not change");
  const whole = answered(await client.GET("/api/v1/workflows/{workflow_id}", { params: { path } }), 200);
  const back = await client.PUT("/api/v1/workflows/{workflow_id}", { params: { path }, body: whole });
  equal(answered(back, 200).definition, workflow.definition, "what GET answered, put back");
}

/** Every fault is found at once, each at its place; what is mended can be published, and is frozen then. */
export async function publish(place: Place): Promise<void> {
  const client = connect(place);
  const faulty = chain(greet("Hello {{ inptu.name }}"), { id: "odd", type: "core.odd" });
  const made = await client.POST("/api/v1/workflows", { body: { name: "Faulty", definition: faulty } });
  const params = { path: { workflow_id: answered(made, 201).id } };

  const problem = refused(
    await client.POST("/api/v1/workflows/{workflow_id}/publish", { params }), 422, "invalid-definition",
  );
  const places = (problem.errors ?? []).map(({ node_id, path, column }) => [node_id, path, column]);
  equal(places, [["greet", "/data/config/values/text", 10], ["odd", "/data/step_type", undefined]], "the places");
  const stored = answered(await client.POST("/api/v1/workflows/{workflow_id}/validate", { params }), 200);
  equal([stored.valid, stored.issues.map((issue) => issue.node_id)], [false, ["greet", "odd"]], "what is stored");

  const definition = chain(greet());
  const sent = await client.POST("/api/v1/workflows/{workflow_id}/validate", { params, body: { definition } });
  equal(answered(sent, 200), { valid: true, errors: [], issues: [] }, "what was sent");
  answered(await client.PUT("/api/v1/workflows/{workflow_id}", { params, body: { definition } }), 200);
  const published = answered(await client.POST("/api/v1/workflows/{workflow_id}/publish", { params }), 200);
  equal([published.status, typeof published.published_at], ["published", "string"], "the published one");

  const late = await client.PUT("/api/v1/workflows/{workflow_id}", { params, body: { name: "Too late" } });
  refused(late, 409, "workflow-not-draft");
}

/** A published workflow goes on as a draft of the next version; drafts are deleted, published ones are archived. */
export async function duplicate(place: Place): Promise<void> {
  const client = connect(place);
  const params = { path: { workflow_id: await published(client) } };

  const copied = await client.POST("/api/v1/workflows/{workflow_id}/duplicate", { params });
  const copy = answered(copied, 201);
  equal([copy.version, copy.status, copy.source_id], [2, "draft", params.path.workflow_id], "the copy");
  equal(header(copied, "Location"), `/api/v1/workflows/${copy.id}`, "Location");

  const draft = { path: { workflow_id: copy.id } };
  const deleted = await client.DELETE("/api/v1/workflows/{workflow_id}", { params: draft });
  equal(deleted.response.status, 204, "the status of the deletion");
  refused(await client.GET("/api/v1/workflows/{workflow_id}", { params: draft }), 404, "workflow-not-found");
  refused(await client.DELETE("/api/v1/workflows/{workflow_id}", { params }), 400, "workflow-not-deletable");

  equal(answered(await client.POST("/api/v1/workflows/{workflow_id}/archive", { params }), 200).status, "archived", "it");
  const run = await client.POST("/api/v1/workflows/{workflow_id}/run", { params, body: {} });
  refused(run, 409, "workflow-not-published");
}

/** A workflow that can be run. */
export async function published(client: Client, definition = chain(greet())): Promise<string> {
  const made = answered(await client.POST("/api/v1/workflows", { body: { name: "Runnable", definition } }), 201);
  const params = { path: { workflow_id: made.id } };
  return answered(await client.POST("/api/v1/workflows/{workflow_id}/publish", { params }), 200).id;
}

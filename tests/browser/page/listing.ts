// Lists by page, by cursor and by Link, as a table with a footer or an endless scroll needs them.
import { answered, connect, equal, expect, header, type Client, type Place } from "./client";
import { published } from "./editing";

const NEXT = /<([^>]*)>; rel="next"/;

export async function list(place: Place): Promise<void> {
  const client = connect(place);
  const names = ["one", "two", "three", "four", "five"];
  for (const name of names) answered(await client.POST("/api/v1/workflows", { body: { name } }), 201);
  const newestFirst = names.toReversed();

  const page = (number: number) => client.GET("/api/v1/workflows", { params: { query: { page: number, per_page: 2 } } });
  const [first, last] = [await page(1), await page(3)];
  const { items, ...where } = answered(first, 200);
  equal(where, { total: 5, page: 1, per_page: 2 }, "where the page is");
  expect(items.every(({ definition }) => definition === undefined), "no definitions in lists");
  equal(answered(last, 200).items.map(({ name }) => name), ["one"], "the last page");
  expect(!NEXT.test(header(last, "Link")), "nothing after the last page");

  equal(await byCursor(client), newestFirst, "the names by cursor");
  equal(await byLink(place, header(first, "Link"), items.map(({ name }) => name)), newestFirst, "the names by Link");
  await filterRuns(client);
}

async function byCursor(client: Client): Promise<string[]> {
  const names: string[] = [];
  let cursor: string | null | undefined = "";
  while (typeof cursor === "string") {
    const params: { query: { cursor: string; per_page: number } } = { query: { cursor, per_page: 2 } };
    const part = answered(await client.GET("/api/v1/workflows", { params }), 200);
    names.push(...part.items.map(({ name }) => name));
    cursor = part.next_cursor;
  }
  return names;
}

/** Without the client: a link is followed as it is. */
async function byLink({ api, token }: Place, link: string, names: string[]): Promise<string[]> {
  const target = NEXT.exec(link)?.[1];
  if (target === undefined) return names;
  const response = await fetch(new URL(target, api), {
    credentials: "include",
    headers: { Authorization: `Bearer ${token}` },
  });
  const more: string[] = [...(await response.text()).matchAll(/"name":"(\w+)"/g)].flatMap(([, name]) => name ?? []);
  return byLink({ api, token }, header({ response }, "Link"), [...names, ...more]);
}

async function filterRuns(client: Client): Promise<void> {
  const id = await published(client);
  const run = await client.POST("/api/v1/workflows/{workflow_id}/run", {
    params: { path: { workflow_id: id }, header: { Prefer: "wait=20" } },
    body: { input: { name: "Ada" } },
  });
  const runs = async (status: ("completed" | "failed" | "cancelled")[]) =>
    answered(await client.GET("/api/v1/runs", { params: { query: { workflow_id: id, status } } }), 200).items;

  equal((await runs(["completed", "failed"])).map((each) => each.id), [answered(run, 201).id], "the runs that are over");
  equal(await runs(["cancelled"]), [], "the cancelled runs");
}

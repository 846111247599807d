// The generated client, and what the journeys expect of its answers.
import createClient from "openapi-fetch";
import type { components, paths } from "../build/api";

export type Problem = components["schemas"]["Problem"];
export type Definition = { [key: string]: unknown };

export interface Place {
  api: string; // the server's origin
  token: string;
}

export function connect({ api, token }: Place) {
  return createClient<paths>({
    baseUrl: api,
    credentials: "include",
    headers: { Authorization: `Bearer ${token}` },
  });
}

export type Client = ReturnType<typeof connect>;

/** One of the client's answers, whatever the operation. */
interface Answer<Data> {
  data?: Data;
  error?: Problem;
  response: Response;
}

export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`expected: ${what}`);
}

export function equal(found: unknown, wanted: unknown, what: string): void {
  const [one, other] = [JSON.stringify(found), JSON.stringify(wanted)];
  expect(one === other, `${what} is ${other}, not ${one}`);
}

/** The body of an answer with this status. */
export function answered<Data>({ data, error, response }: Answer<Data>, status: number): Data {
  expect(response.status === status, `${status}, not ${response.status}: ${error?.detail ?? "no problem"}`);
  expect(data !== undefined, "a body");
  return data;
}

/** The problem document of an answer with this status. */
export function refused({ error, response }: Answer<unknown>, status: number, kind: string): Problem {
  expect(response.status === status && error !== undefined, `${status} and a problem, not ${response.status}`);
  equal([error.status, error.type], [status, `/problems/${kind}`], "the problem");
  expect(error.title !== "" && error.detail !== "", "a title and a sentence");
  return error;
}

/** A header that the server exposes: without that, a page at another origin reads null. */
export function header({ response }: { response: Response }, name: string): string {
  const value = response.headers.get(name);
  expect(value !== null, `the page can read ${name}`);
  return value;
}

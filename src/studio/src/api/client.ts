import createClient, { type Client as Fetching, type Middleware } from "openapi-fetch";
import { createContext, use } from "react";

import type { components, paths } from "../../generated/api";
import type { Session } from "../auth/session";
import { parseJson, writeJson } from "../ui/exact";
import { type Problem, ProblemError } from "./problem";
import { reach } from "./reach";

export type Schemas = components["schemas"];
export type Workflow = Schemas["WorkflowResponse"];
export type Run = Schemas["RunResponse"];
export type RunEvent = Schemas["EventResponse"];
export type StepType = Schemas["StepTypeResponse"];
export type Schedule = Schemas["ScheduleResponse"];
export type Client = Fetching<paths>;

export const ClientContext = createContext<Client | undefined>(undefined);

export function useClient(): Client {
  const client = use(ClientContext);
  if (client === undefined) throw new Error("useClient outside of ClientContext");
  return client;
}

const NO_CONTENT = 204;

const clients = new WeakMap<Session, Client>();

/** The typed client of a session: the same one for the same session. */
export function connect(session: Session): Client {
  let client = clients.get(session);
  if (client === undefined) {
    client = createClient<paths>({ baseUrl: location.origin, fetch: reach, bodySerializer: (body) => writeJson(body) });
    client.use(authorizing(session));
    clients.set(session, client);
  }
  return client;
}

function authorizing(session: Session): Middleware {
  return {
    async onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${await session.token()}`);
      return request;
    },
    async onResponse({ response }) {
      if (response.status === 401) session.expire();
      return response.ok && response.status !== NO_CONTENT ? exact(response) : undefined;
    },
  };
}

/** An answer whose numbers keep their digits. */
async function exact(response: Response): Promise<Response> {
  const { status, statusText } = response;
  const text = await response.text(), headers = new Headers(response.headers);
  headers.set("Content-Length", String(text.length)); // where there is none, the client reads the text by itself
  return Object.assign(new Response(text, { status, statusText, headers }), { json: () => Promise.resolve(parseJson(text)) });
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What was asked for, or a `ProblemError`. */
export async function answer<T>(asked: Promise<Answer<T>>): Promise<T> {
  return (await answered(asked)).data;
}

/** As `answer`, with the response, for its headers. */
export async function answered<T>(asked: Promise<Answer<T>>): Promise<{ data: T; response: Response }> {
  const { data, error, response } = await asked;
  if (!response.ok) throw new ProblemError(response.status, typeof error === "object" ? (error as Problem) : {});
  return { data: data as T, response };
}

/** An idempotency key: one for each thing that somebody wants once, however often it is sent. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One key for each content: sent again after a lost answer it does nothing twice, and a corrected content is another request. */
export function keyOf(keys: Map<string, string>, content: object): string {
  const text = JSON.stringify(content);
  const key = keys.get(text) ?? newKey();
  keys.set(text, key);
  return key;
}

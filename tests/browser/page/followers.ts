// Clients that follow a run to its end, whatever happens on the way: the module that Stepwire ships, and libraries.
// Each gives the frames of the events that it was given.
import { EventSource } from "eventsource";
import { WebSocket as PartySocket } from "partysocket";
import ReconnectingWebSocket from "reconnecting-websocket";

import { watchRun } from "../../../src/stepwire/clients/run-stream";
import type { Place } from "./client";
import { bearing, parsed, type Frame } from "./socket";

const OVER = new Set(["run.completed", "run.failed", "run.cancelled"]);

export interface Followed extends Place {
  run: string;
}

type Follower = (followed: Followed) => Promise<Frame[]>;

/** What the libraries have in common with the browser's own socket. */
export interface Socket {
  onmessage: ((message: MessageEvent<unknown>) => void) | null;
  onclose: ((closed: never) => void) | null;
  close: () => void;
}

/** With the sockets of a library: it connects again by itself, and asks what to connect to. */
function bySocket(open: (url: () => string, protocols: string[]) => Socket): Follower {
  return ({ api, token, run }) =>
    new Promise((resolve) => {
      const events: Frame[] = [];
      const url = () => `${api.replace("http", "ws")}/ws/runs/${run}?after=${events.length}`;
      const socket = open(url, bearing(token));
      socket.onmessage = ({ data }) => {
        const frame = parsed(data);
        if (frame["type"] === "event") events.push(frame);
      };
      socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
        if (code !== 1000 || reason !== "finished") return; // a library's own 1000 says that it connects again
        socket.close();
        resolve(events);
      };
    });
}

const byModule: Follower = async ({ api, token, run }) => {
  const events: Frame[] = [];
  const last = await watchRun({ api, runId: run, token: () => token, after: 0, onEvent: (event) => events.push({ ...event }) });
  if (last !== events.length) throw new Error(`${events.length} events, but the last is ${last}`);
  return events;
};

const byEventSource: Follower = ({ api, token, run }) =>
  new Promise((resolve) => {
    const events: Frame[] = [];
    const source = new EventSource(`${api}/api/v1/runs/${run}/events?after=0`, {
      fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
    });
    source.onmessage = ({ data }) => {
      const frame = parsed(data);
      if (frame["type"] === "event") events.push(frame);
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) resolve(events); // 204: that was all
    };
  });

/** The browser's own, which sends no token: each connection takes a ticket, and goes on from the last event. */
const byBrowser: Follower = async ({ api, token, run }) => {
  const events: Frame[] = [];
  while (!OVER.has(String(events.at(-1)?.["event"]))) {
    const ticket = await fetch(`${api}/api/v1/runs/${run}/socket-ticket`, {
      method: "POST", headers: { Authorization: `Bearer ${token}` },
    }).then(async (answer) => (answer.ok ? parsed(await answer.text())["ticket"] : null)).catch(() => null);
    if (typeof ticket !== "string") {
      await new Promise((resolve) => setTimeout(resolve, quick.minReconnectionDelay));
      continue;
    }
    const source = new globalThis.EventSource(
      `${api}/api/v1/runs/${run}/events?after=${events.length}&ticket=${encodeURIComponent(ticket)}`,
    );
    await new Promise<void>((resolve) => {
      source.onmessage = ({ data }: MessageEvent<string>) => {
        const frame = parsed(data);
        if (frame["type"] === "event") events.push(frame);
      };
      source.onerror = () => { resolve(); };
    });
    source.close();
  }
  return events;
};

export const quick = { minReconnectionDelay: 50, maxReconnectionDelay: 500, connectionTimeout: 5000 };
const followers: Record<string, Follower> = {
  module: byModule,
  "reconnecting-websocket": bySocket((url, protocols) => new ReconnectingWebSocket(url, protocols, { ...quick, WebSocket })),
  partysocket: bySocket((url, protocols) => new PartySocket(url, protocols, { ...quick, WebSocket })),
  eventsource: byEventSource,
  ...("EventSource" in globalThis ? { "the browser's EventSource": byBrowser } : {}),
};

/** All of them at once. */
export async function follow(followed: Followed): Promise<Record<string, Frame[]>> {
  const found = await Promise.all(Object.entries(followers).map(async ([name, each]) => [name, await each(followed)] as const));
  return Object.fromEntries(found);
}

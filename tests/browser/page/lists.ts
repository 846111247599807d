// A list of runs that keeps itself up to date over as many connections as it takes: each snapshot begins it anew.
import { WebSocket as PartySocket } from "partysocket";
import ReconnectingWebSocket from "reconnecting-websocket";

import type { Place } from "./client";
import { quick, type Socket } from "./followers";
import { bearing } from "./socket";

export interface Listed extends Place {
  count: number;
}

type ListFrame =
  | { type: "snapshot"; runs: { run_id: string; run_status: string }[] }
  | { type: "event"; run_id: string; event: string };

const OVER = ["completed", "failed", "cancelled"];

function isListFrame(value: unknown): value is ListFrame {
  return typeof value === "object" && value !== null && "type" in value && (value.type === "snapshot" || value.type === "event");
}

/** The frames of each connection, until the list has so many runs and all of them are over. */
function keep({ api, token, count }: Listed, open: (url: () => string, protocols: string[]) => Socket): Promise<ListFrame[][]> {
  return new Promise((resolve) => {
    const connections: ListFrame[][] = [];
    const statuses = new Map<string, string>();
    const socket = open(() => `${api.replace("http", "ws")}/ws/runs`, bearing(token));
    socket.onmessage = ({ data }) => {
      const frame: unknown = JSON.parse(String(data));
      if (!isListFrame(frame)) return;
      if (frame.type === "snapshot") {
        connections.push([]);
        statuses.clear();
        for (const run of frame.runs) statuses.set(run.run_id, run.run_status);
      } else {
        statuses.set(frame.run_id, frame.event.replace("run.", ""));
      }
      connections.at(-1)?.push(frame);
      if (statuses.size < count || ![...statuses.values()].every((status) => OVER.includes(status))) return;
      socket.onmessage = null;
      socket.close();
      resolve(connections);
    };
  });
}

/** With each of the libraries, at once. */
export async function keepList(listed: Listed): Promise<Record<string, ListFrame[][]>> {
  const [reconnecting, party] = await Promise.all([
    keep(listed, (url, protocols) => new ReconnectingWebSocket(url, protocols, { ...quick, WebSocket })),
    keep(listed, (url, protocols) => new PartySocket(url, protocols, { ...quick, WebSocket })),
  ]);
  return { "reconnecting-websocket": reconnecting, partysocket: party };
}

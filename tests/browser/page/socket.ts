// A run as it happens: the frames of /ws/runs/{run_id}, and how the socket closed.
import { expect, type Place } from "./client";

export type Frame = Record<string, unknown>;

export interface Watched {
  frames: Frame[];
  protocol: string;
  code: number;
  reason: string;
}

interface Watching {
  protocols?: string[];
  query?: string;
  onFrame?: (frame: Frame) => void;
}

/** The sub-protocols that carry a token, since browsers send no headers with a WebSocket. */
export function bearing(token: string): string[] {
  const encoded = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["stepwire.v1", `bearer.${encoded}`];
}

/** Everything that the server sends until it closes the socket. */
export function watch({ api }: Place, runId: string, { protocols = [], query = "", onFrame }: Watching): Promise<Watched> {
  const socket = new WebSocket(`${api.replace("http", "ws")}/ws/runs/${runId}${query}`, protocols);
  const frames: Frame[] = [];
  return new Promise((resolve, reject) => {
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      try {
        const frame = parsed(data);
        frames.push(frame);
        onFrame?.(frame);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.addEventListener("close", ({ code, reason }) => {
      resolve({ frames, protocol: socket.protocol, code, reason });
    });
  });
}

function isFrame(value: unknown): value is Frame {
  return typeof value === "object" && value !== null;
}

export function parsed(data: unknown): Frame {
  const frame: unknown = JSON.parse(String(data));
  if (!isFrame(frame)) throw new Error(`not a frame: ${String(data)}`);
  return frame;
}

/** The events of a finished stretch: a snapshot came first, none is missing, and the server said that it was all. */
export function events({ frames, code, reason }: Watched): string[] {
  const [snapshot, ...rest] = frames;
  expect(snapshot?.["type"] === "snapshot", "a snapshot first");
  rest.forEach(({ type, seq }, place) => {
    expect(type === "event" && seq === Number(rest[0]?.["seq"]) + place, `event ${place} in its place`);
  });
  expect(code === 1000 && reason === "finished", `1000 finished, not ${code} ${reason}`);
  return rest.map(({ event }) => String(event));
}

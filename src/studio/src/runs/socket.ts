import { base64url, expiry } from "../../../stepwire/clients/run-stream";
import { parseJson } from "../ui/exact";
import type { ListFrame } from "./feed";

export interface WatchingList {
  /** Where the API is, as `http…`. */
  api: string;
  workflowId: string | undefined;
  token: () => Promise<string>;
  onFrame: (frame: ListFrame) => void;
  onLost: () => void;
  /** The server does not take the token. */
  onUnauthenticated: () => void;
}

type Frame = ListFrame | { type: "error"; problem: { title: string; detail?: string } } | { type: "pong" };

const UNAUTHENTICATED = 4401, REFUSED = [4400, 4403];
const PING_MS = 10_000, SILENCE_MS = 25_000, LONGEST_WAIT_MS = 15_000, LONGEST_TIMER_MS = 2 ** 31 - 1, STEADY_MS = 5_000;

/** Listen to the list feed over as many connections as it takes; each begins with a snapshot. Rejects when the server refuses for good. */
export async function watchList(watching: WatchingList, signal: AbortSignal): Promise<void> {
  let failures = 0;
  for (;;) {
    const began = Date.now();
    const { code, problem } = await connect(watching, signal);
    if (signal.aborted) return;
    watching.onLost();
    if (REFUSED.includes(code)) throw new Error(problem);
    if (code === UNAUTHENTICATED) watching.onUnauthenticated();
    failures = Date.now() - began > STEADY_MS ? 0 : failures + 1;
    await pause(Math.min(250 * 2 ** failures, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2), signal);
  }
}

async function connect({ api, workflowId, token, onFrame }: WatchingList, signal: AbortSignal): Promise<{ code: number; problem: string }> {
  let bearer: string;
  try {
    bearer = await token();
  } catch (error) {
    return { code: 0, problem: String(error) };
  }
  if (signal.aborted) return { code: 0, problem: "" };
  const url = new URL("/ws/runs", api.replace(/^http/, "ws"));
  if (workflowId !== undefined) url.searchParams.set("workflow_id", workflowId);
  const socket = new WebSocket(url, ["stepwire.v1", `bearer.${base64url(bearer)}`]);
  let problem = "", heard = Date.now(), renewal: ReturnType<typeof setTimeout> | undefined;
  const renewBefore = (current: string) => {
    renewal = setTimeout(() => {
      token().then((fresh) => {
        if (socket.readyState !== WebSocket.OPEN) return;
        socket.send(JSON.stringify({ type: "auth", token: fresh }));
        renewBefore(fresh);
      }, () => undefined); // then the session runs out, and the next connection asks again
    }, Math.min(Math.max((expiry(current) * 1000 - Date.now()) * 0.8, 1000), LONGEST_TIMER_MS));
  };
  let end: (code: number) => void = () => undefined;
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const abort = () => end(0);
  signal.addEventListener("abort", abort);
  const alive = setInterval(() => {
    if (Date.now() - heard > SILENCE_MS) end(0);
    else if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
  }, PING_MS);
  socket.onopen = () => renewBefore(bearer);
  socket.onclose = ({ code }) => end(code);
  socket.onmessage = ({ data }: MessageEvent<string>) => {
    heard = Date.now();
    const frame = parseJson(data) as Frame;
    if (frame.type === "error") problem = frame.problem.detail ?? frame.problem.title;
    else if (frame.type !== "pong") onFrame(frame);
  };
  const code = await ended;
  clearInterval(alive);
  clearTimeout(renewal);
  signal.removeEventListener("abort", abort);
  socket.onmessage = socket.onclose = socket.onopen = null;
  socket.close();
  return { code, problem };
}

/** Wait; not longer than it takes the network to come back. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    }
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}

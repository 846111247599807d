// Watch a run: its snapshot, then every event once and in order, over as many connections as it takes.
// For browsers and for Node from version 22 on. Copy it into your project: it needs nothing else.

export type RunStatus = "queued" | "running" | "paused" | "completed" | "failed" | "cancelled";
export type StepStatus = "pending" | "running" | "waiting" | "completed" | "failed" | "skipped" | "cancelled";
export interface MapSummary { items: number; completed: number; failed: number; running: number }
/** The run as of event `seq`. */
export interface Snapshot {
  type: "snapshot"; run_id: string; run_status: RunStatus; seq: number;
  step_statuses: Record<string, StepStatus>; maps: Record<string, MapSummary>;
}
export interface RunEvent {
  type: "event"; seq: number; event: string; run_id: string; step_id: string | null; data: Record<string, unknown>; at: string;
}
interface ErrorFrame { type: "error"; problem: { title: string; detail?: string } }
type Frame = Snapshot | RunEvent | ErrorFrame | { type: "pong" };

export interface Watching {
  /** Where the API is: `https://api.example.com`. */
  api: string;
  runId: string;
  /** A valid access token. Asked for at every connection, and before the last one runs out. */
  token: () => string | Promise<string>;
  /** The last event that you have, if you have any: then the one after it comes next, and no snapshot counts. */
  after?: number;
  /** Reads a message; `JSON.parse` unless given, which rounds whole numbers beyond 2^53. */
  parse?: (text: string) => unknown;
  onSnapshot?: (snapshot: Snapshot) => void;
  onEvent?: (event: RunEvent) => void;
  /** Whether events come as they happen: false from a lost connection to the next one. */
  onLive?: (isLive: boolean) => void;
}

const FINISHED = "finished", UNAUTHENTICATED = 4401, REFUSED = [4400, 4403, 4404, 4409];
const PING_MS = 10_000, SILENCE_MS = 30_000, LONGEST_WAIT_MS = 15_000, TIMER_MS = 2 ** 31 - 1;

/**
 * Watch until the run has ended, you abort, or the server refuses.
 *
 * Resolves with the number of the last event: after a retry of the run, go on with it as `after`.
 * Rejects with an `Error` when the server refuses (no such run, no right to see it), or with the signal's reason.
 */
export async function watchRun(watching: Watching, signal?: AbortSignal): Promise<number> {
  let last = watching.after;
  let failures = 0, refusals = 0;
  for (;;) {
    signal?.throwIfAborted();
    const before = last;
    const { code, reason, problem } = await connect(watching, last, (seq) => { last = seq; refusals = 0; }, signal);
    watching.onLive?.(false);
    if (code === 1000 && reason === FINISHED) return last ?? 0;
    if (REFUSED.includes(code) || (code === UNAUTHENTICATED && ++refusals > 2)) throw new Error(problem);
    failures = last === before ? failures + 1 : 0;
    await pause(Math.min(200 * 2 ** failures, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2), signal);
  }
}

/** One connection, until it ends: with which code, and why. */
async function connect(
  { api, runId, token, parse = JSON.parse, onSnapshot, onEvent, onLive }: Watching,
  after: number | undefined,
  onSeen: (seq: number) => void,
  signal?: AbortSignal,
): Promise<{ code: number; reason?: string; problem: string }> {
  let bearer: string;
  try {
    bearer = await token();
  } catch (error) {
    return { code: 0, problem: String(error) };
  }
  const query = after === undefined ? "" : `?after=${after}`;
  const url = `${api.replace(/^http/, "ws").replace(/\/$/, "")}/ws/runs/${encodeURIComponent(runId)}${query}`;
  const socket = new WebSocket(url, ["stepwire.v1", `bearer.${base64url(bearer)}`]);
  let next = after === undefined ? undefined : after + 1;
  let problem = "", heard = Date.now(), renewal: ReturnType<typeof setTimeout> | undefined;

  const renew = (current: string) => {
    const left = expiry(current) * 1000 - Date.now();
    renewal = setTimeout(() => {
      Promise.resolve(token()).then((fresh) => {
        if (socket.readyState !== WebSocket.OPEN) return;
        socket.send(JSON.stringify({ type: "auth", token: fresh }));
        renew(fresh);
      }, () => undefined); // then the session runs out, and the next connection asks again
    }, Math.min(Math.max(left * 0.8, 1000), TIMER_MS));
  };
  const alive = setInterval(() => {
    if (Date.now() - heard > SILENCE_MS) end(0);
    else if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
  }, PING_MS);
  let end: (code: number, reason?: string) => void = () => undefined;
  const ended = new Promise<{ code: number; reason: string }>((resolve) => {
    end = (code, reason = "") => { resolve({ code, reason }); };
  });
  const abort = () => { end(0); };
  signal?.addEventListener("abort", abort);

  socket.onopen = () => { renew(bearer); };
  socket.onclose = ({ code, reason }) => { end(code, reason); };
  socket.onmessage = ({ data }: MessageEvent<string>) => {
    heard = Date.now();
    const frame = parse(data) as Frame;
    if (frame.type === "error") {
      problem = frame.problem.detail ?? frame.problem.title;
    } else if (frame.type === "snapshot") {
      if (next === undefined) {
        next = frame.seq + 1;
        onSnapshot?.(frame);
        onSeen(frame.seq);
      }
      onLive?.(true);
    } else if (frame.type === "event" && frame.seq === next) {
      next += 1;
      onEvent?.(frame);
      onSeen(frame.seq);
    } else if (frame.type === "event" && next !== undefined && frame.seq > next) {
      end(0); // something is missing, which a new connection brings
    }
  };
  const closed = await ended;
  clearInterval(alive);
  clearTimeout(renewal);
  signal?.removeEventListener("abort", abort);
  socket.onmessage = socket.onclose = socket.onopen = null;
  socket.close();
  return { ...closed, problem };
}

export function base64url(text: string): string {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** When a JSON Web Token runs out, in seconds since 1970. */
export function expiry(token: string): number {
  try {
    const claims: { exp?: number } = JSON.parse(atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/")));
    return claims.exp ?? Infinity;
  } catch {
    return Infinity;
  }
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done() { clearTimeout(timer); signal?.removeEventListener("abort", done); resolve(); }
    signal?.addEventListener("abort", done);
  });
}

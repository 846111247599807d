import { isTooLarge, parseJson } from "./exact";

export type Read = { ok: true; value: unknown } | { ok: false; message: string; line: number; column: number };

const TOKEN = /[{}[\]:,]|"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;
const SPACE = /[ \t\r\n]*/y;

/** JSON, or where it goes wrong: engines disagree on whether they say so. */
export function readJson(text: string): Read {
  try {
    return { ok: true, value: parseJson(text) };
  } catch {
    const { at, message } = firstFault(text);
    const before = text.slice(0, at).split("\n");
    return { ok: false, message, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  }
}

/** What may come next. A key is a string that a colon has to follow. */
type Wanted = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma or end";

const SAYS: Record<Wanted, string> = {
  value: "a value", "value or ]": "a value or ]", key: 'a name in "…"', "key or }": 'a name in "…", or }', colon: "a colon", "comma or end": "a comma or the end",
};

function firstFault(text: string): { at: number; message: string } {
  const open: string[] = [];
  let wanted: Wanted = "value";
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined) return { at, message: at < text.length ? `Expected ${said(wanted, open)} here.` : `It ends too early: ${said(wanted, open)} is missing.` };
    if (isTooLarge(token)) return { at, message: "This number is too large." };
    const next = after(token, wanted, open);
    if (next === undefined) return { at, message: `Expected ${said(wanted, open)} here.` };
    wanted = next;
    at += token.length;
  }
}

function said(wanted: Wanted, open: string[]): string {
  if (wanted !== "comma or end") return SAYS[wanted];
  return open.length === 0 ? "nothing more" : `a comma or ${open.at(-1) === "{" ? "}" : "]"}`;
}

/** What may come after a token, where another was wanted; undefined where the token is none of those. */
function after(token: string, wanted: Wanted, open: string[]): Wanted | undefined {
  if (wanted === "colon") return token === ":" ? "value" : undefined;
  if (wanted === "comma or end" && token === "," && open.length > 0) return open.at(-1) === "{" ? "key" : "value";
  const closes = wanted === "comma or end" || wanted === (token === "}" ? "key or }" : "value or ]");
  if (token === "}" || token === "]") {
    if (!closes || open.at(-1) !== (token === "}" ? "{" : "[")) return undefined;
    open.pop();
    return "comma or end";
  }
  if (wanted === "key" || wanted === "key or }") return token.startsWith('"') ? "colon" : undefined;
  if (wanted === "comma or end" || token === ":" || token === ",") return undefined;
  if (token === "{" || token === "[") {
    open.push(token);
    return token === "{" ? "key or }" : "value or ]";
  }
  return "comma or end";
}

/** Whether it is what JSON calls an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

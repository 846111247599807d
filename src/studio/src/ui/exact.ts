/**
 * JSON whose whole numbers keep all their digits: those beyond 2^53, which `JSON.parse` rounds, are bigints here, and are written as
 * they were. `JSON.stringify` writes them too where the browser has `JSON.rawJSON`; for others, `writeJson` does.
 */

// Not yet in TypeScript's library.
declare global {
  interface JSON {
    rawJSON?: (text: string) => unknown;
  }
  interface BigInt {
    toJSON?: () => unknown;
  }
}

/** What a bigint is for a moment, in a string that nobody else can have. */
const MARK = `\uE000${Array.from(crypto.getRandomValues(new Uint32Array(4))).join("")} `;
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, "g");
const MAY_BE_LONG = /\d{16}|\d[eE]\+?\d/;
const WHOLE = /^-?[1-9]\d*$/;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const STRING_OR_NUMBER = /"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d[\d.eE+-]*/g;
/** From here on JavaScript writes an exponent, and the server has a fraction's value. */
const EXPONENT = 1e21;

BigInt.prototype.toJSON = function toJSON(this: bigint) {
  return JSON.rawJSON === undefined ? `${MARK}${this}` : JSON.rawJSON(String(this));
};

/** As `JSON.parse`; numbers that there is no value for are refused. */
export function parseJson(text: string): unknown {
  if (!MAY_BE_LONG.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(STRING_OR_NUMBER, marked), (_key, value: unknown) =>
    typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value);
}

/** As `JSON.stringify`. */
export function writeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(MARKED, "$1");
}

function marked(token: string): string {
  if (!NUMBER.test(token)) return token;
  const value = Number(token);
  if (isTooLarge(token)) throw new SyntaxError("A number is too large.");
  if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) return token;
  if (WHOLE.test(token)) return `"${MARK}${token}"`;
  return Math.abs(value) < EXPONENT && Number.isInteger(value) ? `"${MARK}${BigInt(value)}"` : token;
}

export function isTooLarge(token: string): boolean {
  return NUMBER.test(token) && !WHOLE.test(token) && !Number.isFinite(Number(token));
}

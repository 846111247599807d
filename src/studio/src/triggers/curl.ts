import type { Headers } from "./signing";

/** A text as one word of a POSIX shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The request as a command line. The body goes as it is: no byte more or less, or the signature is wrong. */
export function curl(url: string, headers: Headers, body: string): string {
  const lines = [
    `curl ${quoted(url)}`,
    ...[["Content-Type", "application/json"] as const, ...headers].map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    `--data-raw ${quoted(body)}`,
  ];
  return lines.join(" \\\n  ");
}

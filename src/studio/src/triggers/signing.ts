import type { WebhookMode } from "./webhook-config";

/** What there is to sign. `at` is in milliseconds since 1970. */
export interface Unsigned {
  mode: WebhookMode;
  secret: string;
  /** For `token`: the header that carries it. */
  header: string;
  body: string;
  id: string;
  at: number;
}
export type Headers = [name: string, value: string][];

/** How long a receiver takes a signature with a time in it. */
export const GOOD_FOR_MS = 5 * 60 * 1000;

/** The headers that prove to the server that whoever sends the body knows the secret. */
export async function signed({ mode, secret, header, body, id, at }: Unsigned): Promise<Headers> {
  const seconds = Math.floor(at / 1000);
  switch (mode) {
    case "standard": {
      const signature = base64(await hmac(standardKey(secret), `${id}.${seconds}.${body}`));
      return [["webhook-id", id], ["webhook-timestamp", String(seconds)], ["webhook-signature", `v1,${signature}`]];
    }
    case "github":
      return [["X-GitHub-Event", "push"], ["X-GitHub-Delivery", id], ["X-Hub-Signature-256", `sha256=${hex(await hmac(bytes(secret), body))}`]];
    case "stripe":
      return [["Stripe-Signature", `t=${seconds},v1=${hex(await hmac(bytes(secret), `${seconds}.${body}`))}`]];
    case "slack":
      return [
        ["X-Slack-Request-Timestamp", String(seconds)],
        ["X-Slack-Signature", `v0=${hex(await hmac(bytes(secret), `v0:${seconds}:${body}`))}`],
      ];
    case "token": return [[header, secret]];
    case "none": return [];
  }
}

/** Whether what is signed is good for a while only. */
export function runsOut(mode: WebhookMode): boolean {
  return mode === "standard" || mode === "stripe" || mode === "slack";
}

async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, bytes(text)));
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** The bytes that `whsec_…` stands for; of a secret that is no base64, its own. */
function standardKey(secret: string): Uint8Array<ArrayBuffer> {
  const text = secret.replace(/^whsec_/, "").replace(/=+$/, "");
  if (!/^[A-Za-z0-9+/]*$/.test(text) || text.length % 4 === 1) return bytes(secret);
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function hex(raw: Uint8Array): string {
  return Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(raw: Uint8Array): string {
  return btoa(String.fromCharCode(...raw));
}

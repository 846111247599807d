import { createContext, use } from "react";

import { reach } from "../api/reach";
import { EmbeddedSession } from "./embedded";
import type { SupabaseSession } from "./supabase";
import type { TokenSession } from "./token";

/** Who is signed in. Tokens are in memory only; what survives a reload is a cookie that scripts cannot read. */
export interface SignedIn {
  readonly isSignedIn: boolean;
  /** Be told when `isSignedIn` changes. */
  subscribe: (listener: () => void) => () => void;
  /** A token that is good for a while; rejects when there is none to be had. */
  token: () => Promise<string>;
  /** The server does not take the token: ask for another one, or for a sign-in. */
  expire: () => void;
  signOut: () => Promise<void>;
}

export type Session = EmbeddedSession | SupabaseSession | TokenSession;

/** `GET /studio/config.json`. */
export interface Config {
  sign_in: "embedded" | "supabase" | "token";
  supabase_url: string | null;
  supabase_key: string | null;
}

export const SessionContext = createContext<Session | undefined>(undefined);

export function useSession(): Session {
  const session = use(SessionContext);
  if (session === undefined) throw new Error("useSession outside of SessionContext");
  return session;
}

/** The session as the server wants it, signed in already if a code is in the address or an earlier sign-in holds. Rejects where the server cannot say. */
export async function load(): Promise<Session> {
  const response = await reach("/studio/config.json");
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  const config = (await response.json()) as Config;
  if (config.sign_in === "embedded") return EmbeddedSession.begin();
  if (config.sign_in === "supabase" && config.supabase_url !== null && config.supabase_key !== null) {
    const { SupabaseSession } = await import("./supabase");
    return SupabaseSession.begin(config.supabase_url, config.supabase_key);
  }
  const { TokenSession } = await import("./token");
  return new TokenSession();
}

import { createClient, type Session as SupabaseTokens } from "@supabase/supabase-js";

import { Listeners } from "./listeners";
import type { SignedIn } from "./session";

/** Supabase's own sign-in, which keeps and refreshes what it needs by itself. */
export class SupabaseSession implements SignedIn {
  readonly kind = "supabase";
  private readonly listeners = new Listeners();
  private readonly supabase: ReturnType<typeof createClient>;
  private current: SupabaseTokens | null = null;

  readonly subscribe = this.listeners.subscribe;

  private constructor(url: string, key: string) {
    this.supabase = createClient(url, key);
  }

  static async begin(url: string, key: string): Promise<SupabaseSession> {
    const session = new SupabaseSession(url, key);
    session.current = (await session.supabase.auth.getSession()).data.session;
    session.supabase.auth.onAuthStateChange((_, tokens) => {
      session.current = tokens;
      session.listeners.tell();
    });
    return session;
  }

  get isSignedIn(): boolean {
    return this.current !== null;
  }

  /** Sign in with a password; rejects with Supabase's own words. */
  async signIn(email: string, password: string): Promise<void> {
    const { error } = await this.supabase.auth.signInWithPassword({ email, password });
    if (error !== null) throw error;
  }

  readonly token = async (): Promise<string> => {
    const { data, error } = await this.supabase.auth.getSession(); // refreshed, if it is about to run out
    if (error !== null) throw error;
    if (data.session === null) throw new Error("You are signed out.");
    return data.session.access_token;
  };

  expire(): void {
    void this.supabase.auth.refreshSession();
  }

  async signOut(): Promise<void> {
    await this.supabase.auth.signOut();
  }
}

import { reach } from "../api/reach";
import { Listeners } from "./listeners";
import type { SignedIn } from "./session";

interface Granted {
  access_token: string;
  /** Seconds. */
  expires_in: number;
}

/** The embedded mode: a link with a one-time code signs in, and a cookie for `/studio` only brings tokens from then on. */
export class EmbeddedSession implements SignedIn {
  readonly kind = "embedded";
  isSignedIn = false;
  private readonly listeners = new Listeners();
  private granted: { token: string; goodUntil: number } | undefined;
  private asked: Promise<string> | undefined;

  readonly subscribe = this.listeners.subscribe;

  static async begin(): Promise<EmbeddedSession> {
    const session = new EmbeddedSession();
    const code = new URLSearchParams(location.hash.slice(1)).get("code");
    if (code !== null) {
      await session.signIn(code).catch(unlessRefused);
      history.replaceState(null, "", location.pathname + location.search);
    }
    if (!session.isSignedIn) await session.token().catch(unlessRefused); // who opens an old link may be signed in already
    return session;
  }

  /** Sign in with the code of a link; rejects when it was used before, or is too old. */
  async signIn(code: string): Promise<void> {
    await this.ask("/studio/sign-in", { code });
  }

  readonly token = async (): Promise<string> => {
    if (this.granted !== undefined && Date.now() < this.granted.goodUntil) return this.granted.token;
    this.asked ??= this.ask("/studio/token", {}).finally(() => {
      this.asked = undefined;
    });
    return this.asked;
  };

  expire(): void {
    this.granted = undefined;
  }

  async signOut(): Promise<void> {
    await reach("/studio/sign-out", { method: "POST" });
    this.granted = undefined;
    this.become(false);
  }

  private async ask(path: string, body: object): Promise<string> {
    const response = await reach(path, {
      method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
    });
    if (isRefusal(response.status)) this.become(false);
    if (!response.ok) throw new NoToken(response.status);
    const { access_token: token, expires_in: seconds } = (await response.json()) as Granted;
    this.granted = { token, goodUntil: Date.now() + seconds * 800 };
    this.become(true);
    return token;
  }

  private become(isSignedIn: boolean): void {
    if (isSignedIn === this.isSignedIn) return;
    this.isSignedIn = isSignedIn;
    this.listeners.tell();
  }
}

class NoToken extends Error {
  constructor(readonly status: number) {
    super(`No token: the server answered ${status}.`);
  }
}

function isRefusal(status: number): boolean {
  return status === 400 || status === 401 || status === 403;
}

/** Being refused is an answer; any other failure is for whoever asked, to try again. */
function unlessRefused(error: unknown): void {
  if (!(error instanceof NoToken && isRefusal(error.status))) throw error;
}

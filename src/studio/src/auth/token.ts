import { Listeners } from "./listeners";
import type { SignedIn } from "./session";

/** A server with keys of its own and no sign-in that the studio knows: whoever has a token pastes it, for as long as the page lives. */
export class TokenSession implements SignedIn {
  readonly kind = "token";
  isSignedIn = false;
  private readonly listeners = new Listeners();
  private pasted: string | undefined;

  readonly subscribe = this.listeners.subscribe;

  use(token: string): void {
    this.pasted = token.trim();
    this.isSignedIn = true;
    this.listeners.tell();
  }

  readonly token = (): Promise<string> =>
    this.pasted === undefined ? Promise.reject(new Error("No token.")) : Promise.resolve(this.pasted);

  expire(): void {
    this.pasted = undefined;
    this.isSignedIn = false;
    this.listeners.tell();
  }

  signOut(): Promise<void> {
    this.expire();
    return Promise.resolve();
  }
}

import { type SubmitEvent, useEffect, useState } from "react";

import { said } from "../ui/problem";
import type { EmbeddedSession } from "./embedded";
import type { Session } from "./session";
import type { SupabaseSession } from "./supabase";
import type { TokenSession } from "./token";

export function SignIn({ session }: { session: Session }) {
  return (
    <main className="sign-in">
      <h1>Stepwire Studio</h1>
      {session.kind === "embedded" && <Embedded session={session} />}
      {session.kind === "supabase" && <Password session={session} />}
      {session.kind === "token" && <Token session={session} />}
    </main>
  );
}

function Embedded({ session }: { session: EmbeddedSession }) {
  useEffect(() => {
    // The link opens a page of its own; whoever comes back from there goes on here, with what was not saved.
    const look = () => void session.token().catch(() => undefined);
    addEventListener("focus", look);
    return () => removeEventListener("focus", look);
  }, [session]);
  return (
    <>
      <p>You are signed out. Signing in takes a link, which is good once and for ten minutes. To get one, run</p>
      <pre>make studio-link</pre>
      <p>where Stepwire runs (or <code>stepwire studio</code>), and open what it prints.</p>
    </>
  );
}

function Password({ session }: { session: SupabaseSession }) {
  const [problem, setProblem] = useState("");
  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setProblem("");
    await session.signIn(form.get("email") as string, form.get("password") as string).catch((error: unknown) => {
      setProblem(said(error));
    });
  };
  return (
    <form onSubmit={submit}>
      <label>E-mail <input name="email" type="email" autoComplete="username" required autoFocus /></label>
      <label>Password <input name="password" type="password" autoComplete="current-password" required /></label>
      <p role="alert" className="problem">{problem}</p>
      <button type="submit" className="primary">Sign in</button>
    </form>
  );
}

function Token({ session }: { session: TokenSession }) {
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    session.use(new FormData(event.currentTarget).get("token") as string);
  };
  return (
    <form onSubmit={submit}>
      <label>Access token <input name="token" type="password" autoComplete="off" required autoFocus /></label>
      <p>It is kept in this page only, and gone when you close or reload it.</p>
      <button type="submit" className="primary">Go on</button>
    </form>
  );
}

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app";
import { load, type Session } from "./auth/session";
import { said } from "./ui/problem";
import "./ui/theme.css";

const RETRY_MS = 2000;

const place = document.getElementById("root");
if (place === null) throw new Error("The page has no root.");
const root = createRoot(place);
const session = await reached();
root.render(
  <StrictMode>
    <App session={session} />
  </StrictMode>,
);

/** The session, once the server says what it is: nobody is told to be signed out because of a server that is away. */
async function reached(): Promise<Session> {
  for (;;) {
    try {
      return await load();
    } catch (error) {
      root.render(<main className="sign-in"><h1>Stepwire Studio</h1><p role="status">{said(error)} Trying again …</p></main>);
      await new Promise((resume) => setTimeout(resume, RETRY_MS));
    }
  }
}

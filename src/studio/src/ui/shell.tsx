import { LogOut } from "lucide-react";
import { type ReactNode, useEffect } from "react";
import { Link, useLocation, useRoute } from "wouter";

import type { Session } from "../auth/session";
import { ErrorBoundary } from "./error-boundary";
import { keepFocus } from "./kept-focus";

export function Shell({ session, children }: { session: Session; children: ReactNode }) {
  const [path] = useLocation();
  useEffect(keepFocus, []);
  return (
    <div className="shell">
      <a className="skip" href="#main">Skip to content</a>
      <header className="top">
        <Link href="/workflows" className="brand" aria-label="Stepwire"><img src="/studio/icon.svg" alt="" width={20} height={20} /> <span>Stepwire</span></Link>
        <nav aria-label="Main">
          <Place href="/workflows">Workflows</Place>
          <Place href="/runs">Runs</Place>
          <Place href="/secrets">Secrets</Place>
          <a href="/docs">API</a>
        </nav>
        <button type="button" className="quiet" aria-label="Sign out" onClick={() => void session.signOut()}>
          <LogOut size={16} aria-hidden="true" /> <span>Sign out</span>
        </button>
      </header>
      <main id="main" tabIndex={-1}><ErrorBoundary key={path}>{children}</ErrorBoundary></main>
    </div>
  );
}

function Place({ href, children }: { href: string; children: ReactNode }) {
  const [isHere] = useRoute(`${href}/*?`);
  return <Link href={href} aria-current={isHere ? "page" : undefined}>{children}</Link>;
}

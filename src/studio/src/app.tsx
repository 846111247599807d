import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useSyncExternalStore } from "react";
import { Redirect, Route, Router, Switch } from "wouter";

import { ClientContext, connect } from "./api/client";
import { ProblemError } from "./api/problem";
import type { Session } from "./auth/session";
import { SessionContext } from "./auth/session";
import { SignIn } from "./auth/sign-in";
import { Loading } from "./ui/loading";
import { Shell } from "./ui/shell";
import { Workflows } from "./workflows/page";

// The canvas and all that comes with it are loaded where they are looked at.
const Editor = lazy(() => import("./editor/page"));
const Run = lazy(() => import("./run/page"));
const Runs = lazy(() => import("./runs/page"));
const Secrets = lazy(() => import("./secrets/page"));
const Triggers = lazy(() => import("./triggers/page"));

const queries = new QueryClient({
  defaultOptions: { queries: { retry: (times, error) => times < 4 && !(error instanceof ProblemError && error.status < 500) } },
});

export function App({ session }: { session: Session }) {
  const isSignedIn = useSyncExternalStore(session.subscribe, () => session.isSignedIn);
  if (!isSignedIn) return <SignIn session={session} />;
  return (
    <SessionContext value={session}>
      <ClientContext value={connect(session)}>
        <QueryClientProvider client={queries}>
          <Router base="/studio">
            <Shell session={session}>
              <Suspense fallback={<Loading />}>
                <Switch>
                  <Route path="/"><Redirect to="/workflows" replace /></Route>
                  <Route path="/workflows"><Workflows /></Route>
                  <Route path="/workflows/:id">{({ id }) => <Editor key={id} id={id} />}</Route>
                  <Route path="/workflows/:id/triggers">{({ id }) => <Triggers key={id} id={id} />}</Route>
                  <Route path="/runs"><Runs /></Route>
                  <Route path="/runs/:id">{({ id }) => <Run key={id} id={id} />}</Route>
                  <Route path="/secrets"><Secrets /></Route>
                  <Route><p className="empty">There is nothing at this address.</p></Route>
                </Switch>
              </Suspense>
            </Shell>
          </Router>
        </QueryClientProvider>
      </ClientContext>
    </SessionContext>
  );
}

import { Component, type ReactNode } from "react";

import { said } from "./problem";

interface Caught {
  error: unknown;
}

/** Shows what went wrong in place of what could not be shown. Give it a key that changes with the page. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { caught: Caught | undefined }> {
  override state: { caught: Caught | undefined } = { caught: undefined };

  static getDerivedStateFromError(error: unknown): { caught: Caught } {
    return { caught: { error } };
  }

  override render(): ReactNode {
    const { caught } = this.state;
    if (caught === undefined) return this.props.children;
    return (
      <div className="page">
        <div role="alert" className="problem">
          <h1>This page cannot be shown</h1>
          <p>{said(caught.error)}</p>
          <p>What was saved is safe. If the server was updated meanwhile, or the connection was lost, loading the page again is all it takes.</p>
        </div>
        <button type="button" className="primary" onClick={() => location.reload()}>Reload</button>
      </div>
    );
  }
}

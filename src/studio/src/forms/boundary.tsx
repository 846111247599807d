import { Component, type ReactNode } from "react";

interface FormBoundaryProps {
  children: ReactNode;
  onFailed: () => void;
}

/** Tells when a form could not be made of a schema: schemas are anybody's. */
export class FormBoundary extends Component<FormBoundaryProps, { hasFailed: boolean }> {
  override state = { hasFailed: false };

  static getDerivedStateFromError(): { hasFailed: boolean } {
    return { hasFailed: true };
  }

  override componentDidCatch(): void {
    this.props.onFailed();
  }

  override render(): ReactNode {
    return this.state.hasFailed ? null : this.props.children;
  }
}

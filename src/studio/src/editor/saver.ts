import { answer, answered, type Client, type Workflow } from "../api/client";
import { ProblemError } from "../api/problem";
import { Listeners } from "../auth/listeners";
import { type DocumentStore, savedOf } from "./store";

export type SaveStatus = "saved" | "unsaved" | "saving" | "offline" | "conflict" | "refused";

interface Theirs {
  workflow: Workflow;
  etag: string;
}

export interface SaveState {
  status: SaveStatus;
  /** Why it was refused. */
  error?: unknown;
  /** What somebody else has saved meanwhile. */
  theirs?: Theirs;
}

const QUIET_MS = 700, RETRY_MS = [1000, 2000, 5000, 10_000];

/**
 * Saves a draft as it changes, each time on top of the version that is known: what somebody else saved meanwhile is never
 * written over unless that is what was asked for.
 */
export class Saver {
  state: SaveState = { status: "saved" };
  private readonly listeners = new Listeners();
  private savedRevision: number;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private inFlight: Promise<void> | undefined;
  private stop: (() => void) | undefined;

  readonly subscribe = this.listeners.subscribe;
  readonly current = (): SaveState => this.state;

  constructor(private readonly client: Client, private readonly id: string, private etag: string, private readonly store: DocumentStore) {
    this.savedRevision = store.getState().revision;
  }

  /** Save what changes from now on. */
  open(): void {
    addEventListener("beforeunload", this.warn);
    this.stop = this.store.subscribe(({ revision }, before) => {
      if (revision !== before.revision) this.changed();
    });
  }

  /** Take no more changes; those that are not saved yet are saved once that is possible. */
  close(): void {
    this.stop?.();
    this.stop = undefined;
    void this.save();
    this.rest();
  }

  /** Once it is closed and all is saved, nothing keeps the page from being left. */
  private rest(): void {
    if (this.stop === undefined && !this.hasUnsaved) removeEventListener("beforeunload", this.warn);
  }

  private readonly warn = (event: BeforeUnloadEvent): void => {
    if (this.hasUnsaved) event.preventDefault();
  };

  get hasUnsaved(): boolean {
    return this.store.getState().revision !== this.savedRevision;
  }

  /** Save now; true when everything is saved. */
  async save(): Promise<boolean> {
    clearTimeout(this.timer);
    await this.inFlight;
    if (this.state.status === "conflict") return false;
    if (!this.hasUnsaved) return true;
    this.inFlight ??= this.put().finally(() => {
      this.inFlight = undefined;
    });
    await this.inFlight;
    return !this.hasUnsaved;
  }

  private async put(): Promise<void> {
    const { revision } = this.store.getState();
    this.become({ status: "saving" });
    try {
      const { response } = await answered(this.client.PUT("/api/v1/workflows/{workflow_id}", {
        params: { path: { workflow_id: this.id }, header: { "If-Match": this.etag } }, body: savedOf(this.store.getState()),
      }));
      this.saved(revision, response.headers.get("ETag") ?? this.etag);
    } catch (error) {
      await this.failed(error);
    }
  }

  /** Write over what somebody else saved, which is known. */
  async keepMine(): Promise<void> {
    const { theirs } = this.state;
    if (theirs === undefined) return;
    this.etag = theirs.etag;
    this.become({ status: "unsaved" });
    await this.save();
  }

  /** The draft was frozen; true when something was changed since it was last saved, which is then somebody's to decide on. */
  isOvertakenBy(workflow: Workflow): boolean {
    if (!this.hasUnsaved) return false;
    clearTimeout(this.timer);
    this.become({ status: "conflict", theirs: { workflow, etag: this.etag } });
    return true;
  }

  /** What is here is kept elsewhere, and not to be saved any more. */
  letGo(): void {
    clearTimeout(this.timer);
    this.saved(this.store.getState().revision, this.etag);
  }

  /** The document is what somebody else saved, by now. */
  tookTheirs(): void {
    const { theirs } = this.state;
    if (theirs === undefined) return;
    this.saved(this.store.getState().revision, theirs.etag);
  }

  private changed(): void {
    if (this.state.status === "conflict") return;
    if (this.state.status !== "saving") this.become({ status: this.state.status === "offline" ? "offline" : "unsaved" });
    this.after(QUIET_MS);
  }

  private after(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.save(), milliseconds);
  }

  private saved(revision: number, etag: string): void {
    this.etag = etag;
    this.savedRevision = revision;
    this.failures = 0;
    this.become({ status: this.hasUnsaved ? "unsaved" : "saved" });
    if (this.hasUnsaved) this.after(QUIET_MS);
    this.rest();
  }

  private async failed(error: unknown): Promise<void> {
    if (error instanceof ProblemError && error.status === 412) {
      await this.conflicted();
    } else if (error instanceof ProblemError && error.status < 500 && error.status !== 429 && error.status !== 401) {
      this.become({ status: "refused", error });
    } else {
      this.become({ status: "offline", error });
      this.after(RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)] ?? QUIET_MS);
      this.failures += 1;
    }
  }

  private async conflicted(): Promise<void> {
    try {
      const { data, response } = await answered(this.client.GET("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: this.id } } }));
      this.become({ status: "conflict", theirs: { workflow: data, etag: response.headers.get("ETag") ?? "" } });
    } catch (error) {
      await this.failed(error);
    }
  }

  private become(state: SaveState): void {
    this.state = state;
    this.listeners.tell();
  }
}

/** The next version of a workflow that is frozen by now, with what is in a document. */
export async function saveAsNextVersion(client: Client, id: string, store: DocumentStore, key: string): Promise<Workflow> {
  const next = await answer(client.POST("/api/v1/workflows/{workflow_id}/duplicate", { params: { path: { workflow_id: id }, header: { "X-Idempotency-Key": key } } }));
  return answer(client.PUT("/api/v1/workflows/{workflow_id}", { params: { path: { workflow_id: next.id } }, body: savedOf(store.getState()) }));
}

/** A workflow of its own with what is in a document. */
export function saveAsCopy(client: Client, store: DocumentStore, key: string): Promise<Workflow> {
  const content = savedOf(store.getState());
  return answer(client.POST("/api/v1/workflows", {
    params: { header: { "X-Idempotency-Key": key } }, body: { ...content, name: `${content.name} (copy)`.slice(0, 200) },
  }));
}

import type { useCreate } from "./actions";
import { EXAMPLE } from "./example";

/** What somebody sees who has no workflow yet. */
export function Empty({ create, onNew }: { create: ReturnType<typeof useCreate>; onNew: () => void }) {
  return (
    <section className="welcome" aria-labelledby="welcome">
      <h2 id="welcome">Draw your first workflow</h2>
      <ol>
        <li><strong>Draw</strong> its steps on a canvas and connect them. It is saved as you go, as a draft.</li>
        <li><strong>Publish</strong> it. That checks everything, and freezes this version.</li>
        <li><strong>Run</strong> it by hand, by webhook or by the clock, and watch every step as it happens.</li>
      </ol>
      <div className="row">
        <button type="button" className="primary" disabled={create.isPending} onClick={() => create.mutate({ priority: "normal", ...EXAMPLE })}>
          Start with an example
        </button>
        <button type="button" onClick={onNew}>Start with an empty canvas</button>
      </div>
    </section>
  );
}

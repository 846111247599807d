import { CopyButton } from "../ui/copy";

/** A secret that is shown this once. */
export function SecretOnce({ secret, what }: { secret: string; what: string }) {
  return (
    <div className="secret-once" role="status">
      <p><strong>Copy {what} now: it is not shown again.</strong> The one before, if there was one, works for another 24 hours.</p>
      <div className="row"><code className="grow">{secret}</code><CopyButton text={secret} what={what} /></div>
    </div>
  );
}

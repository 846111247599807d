import { definitionOf, isDecoration, stepTypeOf } from "../graph/definition";

const MODES = ["standard", "github", "stripe", "slack", "token", "none"] as const;
export type WebhookMode = (typeof MODES)[number];

export interface WebhookConfig {
  mode: WebhookMode;
  /** For `token`. */
  header: string;
  waits: boolean;
}

/** How the first webhook trigger that is drawn wants to be called; where none is drawn, as one that says nothing. */
export function webhookOf(definition: unknown): WebhookConfig {
  const node = definitionOf(definition).nodes.find((each) => !isDecoration(each) && stepTypeOf(each) === "trigger.webhook");
  const { auth, header, respond } = node?.data.config ?? {};
  return {
    mode: MODES.find((each) => each === auth) ?? "standard",
    header: typeof header === "string" && header !== "" ? header : "X-Webhook-Token",
    waits: respond === "when_finished",
  };
}

export const MODE_SAYS: Record<WebhookMode, string> = {
  standard: "Standard Webhooks: the headers webhook-id, webhook-timestamp and webhook-signature, signed at most 5 minutes ago.",
  github: "GitHub: the header X-Hub-Signature-256. Give GitHub the same secret.",
  stripe: "Stripe: the header Stripe-Signature, signed at most 5 minutes ago. Stripe makes the secret; set it here.",
  slack: "Slack: the headers X-Slack-Signature and X-Slack-Request-Timestamp. Slack makes the signing secret; set it here.",
  token: "A token: the secret itself in a header.",
  none: "None: anybody who knows the address can start runs.",
};

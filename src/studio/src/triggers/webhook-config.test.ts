import { expect, test } from "vitest";

import { webhookOf } from "./webhook-config";

test("without a webhook trigger it is called as the server has it: as one that says nothing", () => {
  const drawn = (config: object) => ({ nodes: [{ id: "hook", type: "trigger.webhook", position: { x: 0, y: 0 }, data: { config } }], edges: [] });
  expect(webhookOf({ nodes: [], edges: [] })).toEqual(webhookOf(drawn({})));
  expect(webhookOf({ nodes: [], edges: [] }).mode).toBe("standard");
  expect(webhookOf(drawn({ auth: "token", header: "X-Mine", respond: "when_finished" }))).toEqual({ mode: "token", header: "X-Mine", waits: true });
});

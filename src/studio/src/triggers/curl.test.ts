import { execFileSync } from "node:child_process";

import { expect, test } from "vitest";

import { curl } from "./curl";

test("a shell reads it as it was meant, whatever is in it", () => {
  const body = `{"it's": "$(id) \`id\` \\\\ \\"quoted\\" !x %s"}\n`;
  const line = curl("https://example.com/a?b=c&d=e", [["X-Token", "it's; rm -rf /"]], body);
  const read = execFileSync("sh", ["-c", line.replace("curl", "printf '%s\\0'")], { encoding: "utf8" }).split("\0");
  expect(read).toEqual([
    "https://example.com/a?b=c&d=e", "-H", "Content-Type: application/json", "-H", "X-Token: it's; rm -rf /", "--data-raw", body, "",
  ]);
});

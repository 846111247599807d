import { expect, test } from "vitest";

import { filtersOf, instant, localTime, matches, queryOf } from "./filters";
import type { Row } from "./row";

const ROW: Row = {
  id: "r", workflowId: "w", version: 1, trigger: "manual", createdAt: "2030-01-01T00:00:00Z", status: "failed", startedAt: null, completedAt: null, error: null,
};

test("an address says the same filters again", () => {
  const query = "workflow_id=w&status=running&status=failed&trigger_type=webhook&since=2030-01-01T00%3A00%3A00.000Z";
  expect(queryOf(filtersOf(new URLSearchParams(query))).toString()).toBe(query);
});

test("what an address says that makes no sense does not count", () => {
  expect(queryOf(filtersOf(new URLSearchParams("status=broken&trigger_type=&since=yesterday&workflow_id="))).toString()).toBe("");
});

test.each([
  ["", true],
  ["status=failed&status=running", true],
  ["status=running", false],
  ["workflow_id=other", false],
  ["trigger_type=webhook", false],
  ["since=2030-01-01T00:00:00Z", true],
  ["until=2030-01-01T00:00:00Z", false],
])("%j has the run: %j", (query, expected) => {
  expect(matches(ROW, filtersOf(new URLSearchParams(query)))).toBe(expected);
});

test("a local time is the same instant again", () => {
  expect(instant(localTime("2030-07-05T04:03:00.000Z"))).toBe("2030-07-05T04:03:00.000Z");
});

import { expect, test } from "vitest";

import { readJson } from "./json";

test("what is JSON is read", () => {
  expect(readJson(' {"a": [1, {"b": null}], "c": "\\u00e9"} ')).toEqual({ ok: true, value: { a: [1, { b: null }], c: "é" } });
});

test.each([
  ['{"a": 1,}', 1, 9, 'Expected a name in "…" here.'],
  ['{"a" 1}', 1, 6, "Expected a colon here."],
  ["{'a': 1}", 1, 2, 'Expected a name in "…", or } here.'],
  ['{\n  "a": 1\n  "b": 2\n}', 3, 3, "Expected a comma or } here."],
  ["[1, 2", 1, 6, "It ends too early: a comma or ] is missing."],
  ["[1}", 1, 3, "Expected a comma or ] here."],
  ["{} {}", 1, 4, "Expected nothing more here."],
  ['{"a": nope}', 1, 7, "Expected a value here."],
  ["", 1, 1, "It ends too early: a value is missing."],
])("%j goes wrong at %i:%i", (text, line, column, message) => {
  expect(readJson(text)).toEqual({ ok: false, message, line, column });
});

import { expect, test } from "vitest";

import { imported } from "./import";

const DEFINITION = { nodes: [{ id: "a", measured: { width: 1 } }], edges: [], viewport: { x: 0, y: 0, zoom: 1 } };

test("what was exported comes back, without what the server decides", () => {
  const exported = { id: "1", version: 3, name: "Orders", description: "d", input_schema: { type: "object" }, definition: DEFINITION };
  expect(imported("x.json", JSON.stringify(exported))).toEqual({
    ok: true,
    workflow: { name: "Orders", description: "d", priority: "normal", input_schema: { type: "object" }, definition: DEFINITION },
  });
});

test("a bare definition is named after its file", () => {
  expect(imported("Order intake.json", JSON.stringify(DEFINITION))).toMatchObject({
    ok: true, workflow: { name: "Order intake", definition: DEFINITION },
  });
});

test("what is no workflow says so, and where", () => {
  expect(imported("x.json", "{\n nodes: []}")).toMatchObject({ ok: false, message: expect.stringContaining("Line 2, column 2") as string });
  expect(imported("x.json", '{"name": "x"}')).toMatchObject({ ok: false });
  expect(imported("x.json", "[]")).toMatchObject({ ok: false });
});

import type { Schemas } from "../api/client";
import { isObject, readJson } from "../ui/json";

type NewWorkflow = Schemas["WorkflowCreate"];
export type Imported = { ok: true; workflow: NewWorkflow } | { ok: false; message: string };

const WRITABLE = ["description", "input_schema", "priority", "concurrency_limit"];

/** A file as a workflow: one that was exported, or what React Flow's `toObject()` gives, which is then named after the file. */
export function imported(fileName: string, text: string): Imported {
  const read = readJson(text.replace(/^\uFEFF/, ""));
  if (!read.ok) return { ok: false, message: `${fileName} is not JSON. Line ${read.line}, column ${read.column}: ${read.message}` };
  const content = read.value;
  if (!isObject(content)) return { ok: false, message: `${fileName} holds no workflow: it has to be an object.` };
  const named = fileName.replace(/\.json$/i, "").slice(0, 200) || "Imported";
  const basics = { description: "", priority: "normal" } as const;
  if (Array.isArray(content.nodes) && Array.isArray(content.edges)) {
    return { ok: true, workflow: { ...basics, name: named, definition: content } };
  }
  if (!isObject(content.definition)) {
    return { ok: false, message: `${fileName} holds no workflow: it has neither "definition" nor "nodes" and "edges".` };
  }
  const others = Object.fromEntries(Object.entries(content).filter(([name]) => WRITABLE.includes(name))); // the server checks them
  const name = typeof content.name === "string" && content.name !== "" ? content.name : named;
  return { ok: true, workflow: { ...basics, ...others, name, definition: content.definition } };
}

import { member, NAME } from "./member";

/** What an expression can name. */
export interface Scope {
  /** JSON Schema of the run's input. */
  input: unknown;
  steps: readonly { id: string; output: unknown }[];
  secrets: readonly string[];
  /** Inside of a container there is an item. */
  isInMap: boolean;
}

export interface Completion {
  text: string;
  detail: string;
}

export interface Completing {
  /** Where what is replaced begins; it ends at the caret. */
  from: number;
  options: Completion[];
}

const MOST = 50;
const RUN = ["id", "workflow_id", "workflow_version", "trigger_type", "created_at"];
const STEP = ["output", "status", "error"], ERROR = ["code", "message", "attempt", "details"];
const PATH = /(?:[A-Za-z_]\w*|\["[^"]*"\]|\[\d+\])(?:\.[A-Za-z_]\w*|\["[^"]*"\]|\[\d+\])*\.?$/;

/** What may be typed at the caret; undefined outside of `{{ … }}`. */
export function completionsAt(text: string, caret: number, scope: Scope): Completing | undefined {
  const before = text.slice(0, caret);
  const open = before.lastIndexOf("{{");
  if (open < 0 || before.includes("}}", open) || isInString(before.slice(open + 2))) return undefined;
  const path = PATH.exec(before.slice(open + 2))?.[0] ?? "";
  const parts = partsOf(path);
  const typed = path.endsWith(".") ? "" : (parts.pop() ?? "");
  const options = below(parts, scope).filter(({ text: name }) => name.toLowerCase().startsWith(typed.toLowerCase()) && name !== typed);
  if (parts.length > 0 && options.some(({ text: name }) => !NAME.test(name))) {
    return { from: caret - typed.length - (path.endsWith(".") || typed !== "" ? 1 : 0), options: options.slice(0, MOST).map(bracketed) };
  }
  return options.length === 0 ? undefined : { from: caret - typed.length, options: options.slice(0, MOST) };
}

/** Names that are none in CEL are written as `steps["order-total"]`. */
function bracketed({ text, detail }: Completion): Completion {
  return { text: member(text), detail };
}

function isInString(expression: string): boolean {
  return (expression.match(/(?<!\\)"/g)?.length ?? 0) % 2 === 1 && !/\["[^"]*$/.test(expression);
}

function partsOf(path: string): string[] {
  return [...path.matchAll(/([A-Za-z_]\w*)|\["([^"]*)"\]|\[(\d+)\]/g)].map(([, name, quoted, index]) => name ?? quoted ?? index ?? "");
}

function below(parts: readonly string[], scope: Scope): Completion[] {
  const [root, first, second, ...rest] = parts;
  if (root === undefined) {
    const names = [["input", "what the run was started with"], ["steps", "what steps have given"], ["trigger", "what started the run"], ["run", "the run itself"]];
    if (scope.secrets.length > 0) names.push(["secrets", "stored values that are never shown"]);
    if (scope.isInMap) names.push(["item", "the item of the map"], ["index", "its number, from 0"]);
    return names.map(([text = "", detail = ""]) => ({ text, detail }));
  }
  if (root === "input") return propertiesAt(scope.input, parts.slice(1));
  if (root === "run") return parts.length === 1 ? RUN.map((text) => ({ text, detail: "" })) : [];
  if (root === "trigger") return parts.length === 1 ? ["type", "headers", "query", "method"].map((text) => ({ text, detail: "" })) : [];
  if (root === "secrets") return parts.length === 1 ? scope.secrets.map((text) => ({ text, detail: "secret" })) : [];
  if (root !== "steps") return [];
  if (first === undefined) return scope.steps.map(({ id }) => ({ text: id, detail: "step" }));
  if (second === undefined) return STEP.map((text) => ({ text, detail: "" }));
  if (second === "error") return rest.length === 0 ? ERROR.map((text) => ({ text, detail: "" })) : [];
  return second === "output" ? propertiesAt(scope.steps.find(({ id }) => id === first)?.output, rest) : [];
}

/** The properties that a JSON Schema names at a path. */
function propertiesAt(schema: unknown, path: readonly string[]): Completion[] {
  let current = schema;
  for (const part of path) {
    const { properties, items } = fieldsOf(current);
    current = /^\d+$/.test(part) ? items : fieldsOf(properties)[part];
  }
  return Object.entries(fieldsOf(fieldsOf(current).properties)).map(([text, property]) => {
    const { type, title } = fieldsOf(property);
    return { text, detail: [type, title].filter((each) => typeof each === "string").join(", ") };
  });
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

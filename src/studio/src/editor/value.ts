import { parseJson, writeJson } from "../ui/exact";

/** How a value that may be anything is shown in a text field: strings as they are, all else as JSON. */
export function shown(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : writeJson(value, 2);
}

const TEXT_LIKE = /^\s*(?:[{[]|-?\d|true\s*$|false\s*$|null\s*$|")/;

/**
 * What somebody meant who typed this. Where a text is wanted it is one; else JSON is what it says, and the rest is a text,
 * as expressions are. Nothing at all is no value.
 */
export function meant(text: string, wantsText: boolean): unknown {
  if (text === "") return undefined;
  if (wantsText || !TEXT_LIKE.test(text) || text.trimStart().startsWith("{{")) return text;
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}

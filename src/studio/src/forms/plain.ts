/** A form's value as JSON has it: fields that were emptied are gone, and so are objects of nothing but such fields. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => plain(each) ?? (typeof each === "object" ? {} : null));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const kept = entries.map(([key, each]) => [key, plain(each)] as const).filter(([, each]) => each !== undefined);
  return entries.length > 0 && kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** As `plain`, for what has to be an object. */
export function plainObject(value: unknown): Record<string, unknown> {
  const object = plain(value);
  return typeof object === "object" && object !== null && !Array.isArray(object) ? { ...object } : {};
}

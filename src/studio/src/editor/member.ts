/** What is a name in CEL. */
export const NAME = /^[A-Za-z_]\w*$/;

/** How CEL selects a member: `.total`, or `["order total"]` where that is no name in CEL. */
export function member(name: string): string {
  if (NAME.test(name)) return `.${name}`;
  return name.includes('"') && !/['\\\n\r]/.test(name) ? `['${name}']` : `[${JSON.stringify(name)}]`;
}

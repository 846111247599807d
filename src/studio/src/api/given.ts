type Given<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

/** What there is of some parameters: a parameter that is not given must be absent. */
export function given<T extends object>(parameters: T): Given<T> {
  return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value !== undefined)) as Given<T>;
}

/** Where a step is. One in a map has the map's path, the item's index and its own id: `each[17].fetch`. */
export interface Place {
  /** Its node in the drawing. */
  nodeId: string;
  /** What stands before its id: `each[17].`; empty outside of maps. */
  scope: string;
  /** The path of the map that it is in, and which item. */
  map?: string;
  index?: number;
}

const ITEM = /\[(\d+)\]\./g;

/** The place of a path; what looks like an item in an id is one only if there is a map of that path. */
export function placeOf(path: string, maps: ReadonlyMap<string, unknown>): Place {
  if (!path.includes("].")) return { nodeId: path, scope: "" };
  for (const match of [...path.matchAll(ITEM)].reverse()) {
    const map = path.slice(0, match.index);
    const end = match.index + match[0].length;
    if (maps.has(map)) return { nodeId: path.slice(end), scope: path.slice(0, end), map, index: Number(match[1]) };
  }
  return { nodeId: path, scope: "" };
}

// The same clients in Node: told as JSON what to follow, they say what they were given.
import { follow } from "./followers";
import { keepList } from "./lists";
import { parsed } from "./socket";

declare const process: { argv: string[]; stdout: { write: (text: string) => void } };

const { api, token, run, count } = parsed(process.argv[2]);
const place = { api: String(api), token: String(token) };
const awake = setInterval(() => undefined, 1000); // the event source's wait for its next connection does not keep Node
const found = typeof run === "string" ? await follow({ ...place, run }) : await keepList({ ...place, count: Number(count) });
process.stdout.write(JSON.stringify(found));
clearInterval(awake);

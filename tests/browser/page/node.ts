// The same clients in Node: told what to follow as JSON, it says what they were given.
import { follow } from "./followers";
import { parsed } from "./socket";

declare const process: { argv: string[]; stdout: { write: (text: string) => void } };

const { api, token, run } = parsed(process.argv[2]);
const awake = setInterval(() => undefined, 1000); // the event source's wait for its next connection does not keep Node
process.stdout.write(JSON.stringify(await follow({ api: String(api), token: String(token), run: String(run) })));
clearInterval(awake);

// What AsyncAPI's own parser says about a document; fails where it finds an error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { diagnostics, document } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
for (const { severity, code, path, message } of diagnostics) console.error(severity, code, path.join("/"), message);
process.exitCode = document === undefined || diagnostics.some(({ severity }) => severity < 2) ? 1 : 0;

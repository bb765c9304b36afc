/**
 * What tsc leaves to be done: the command line's entry must be executable, so that `npm link` and a
 * link into /usr/local/bin work.
 */
import { chmodSync, existsSync } from "node:fs";

const entry = new URL("../dist/cli.js", import.meta.url);
if (existsSync(entry)) chmodSync(entry, 0o755);

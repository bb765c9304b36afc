#!/usr/bin/env node
/** The daemon's process, for systemd and PM2; `dropless serve` is the same. */
import { parseArgs } from "node:util";
import { serve } from "./daemon/serve.js";
import { toFault } from "./domain/fault.js";

try {
  const { values } = parseArgs({ options: { config: { type: "string", short: "c" } } });
  await serve(values);
} catch (thrown) {
  const { code, message, hint } = toFault(thrown);
  process.stderr.write(`dropless: ${message} [${code}]\n  ${hint}\n`);
  process.exit(2);
}

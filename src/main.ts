#!/usr/bin/env node
/** The daemon's process, for systemd and PM2; `dropless serve` is the same. */
import { parseArgs } from "node:util";
import { startLightly } from "./daemon/light.js";
import { toFault } from "./domain/fault.js";

try {
  const { values } = parseArgs({ options: { config: { type: "string", short: "c" } } });
  const isReady = startLightly();
  const { serve } = await import("./daemon/serve.js");
  await serve(values);
  isReady();
} catch (thrown) {
  const { code, message, hint } = toFault(thrown);
  process.stderr.write(`dropless: ${message} [${code}]\n  ${hint}\n`);
  process.exit(2);
}

/**
 * The process that talks to PM2. It is one of its own because PM2's library passes its caller's whole
 * environment to every app, has no deadlines and starts a God daemon unasked; here the environment is
 * clean, the daemon keeps the time, and only `launch` starts a God.
 */

import { createCalls } from "./calls.js";
import type { CallName, Reply, Request } from "./messages.js";

const send = (reply: Reply): void => {
  if (process.connected) process.send?.(reply);
};

const calls = createCalls({
  onEvent: (event) => send({ event }),
  onGone: () => send({ gone: true }),
});

process.on("message", async (request: Request) => {
  const { id, call, args } = request;
  try {
    const run = calls[call as CallName] as (...args: unknown[]) => Promise<unknown>;
    send({ id, result: (await run(...args)) ?? null });
  } catch (error) {
    send({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
process.on("disconnect", () => process.exit(0));

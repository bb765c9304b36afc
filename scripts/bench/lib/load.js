/**
 * Starts and stops the load of load-child.js. Only 127.0.0.1, bounded in time and count; a load that dies,
 * or reaches a bound before it was stopped, rejects `stop()`, so that it cannot pass for a good one.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

const child = fileURLToPath(new URL("./load-child.js", import.meta.url));

export async function startLoad(options) {
  const settings = {
    url: options.url ?? `http://127.0.0.1:${options.port}`,
    clients: 16,
    kinds: ["keep-alive", "fresh", "slow", "keep-alive"],
    handlers: [0, 50, 0, 800],
    path: "/",
    slowPath: "/slow",
    pauseMs: 10,
    timeoutMs: 30_000,
    maxSeconds: 240,
    maxRequests: 1_000_000,
    ...options,
  };
  const load = fork(child, [JSON.stringify(settings)], {
    execArgv: [],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  let errors = "";
  load.stderr.on("data", (text) => {
    errors = (errors + text).slice(-2000);
  });
  const waiting = new Map();
  let over;
  const settle = (type, result) => {
    waiting.get(type)?.resolve(result);
    waiting.delete(type);
  };
  load.on("message", ({ type, result }) => {
    if (type === "bound")
      over = new Error(`the load reached its bound of ${settings.maxSeconds} s unstopped`);
    else settle(type, result);
  });
  const ended = new Promise((resolve) => {
    load.on("close", (code, signal) => {
      if (code !== 0) over ??= new Error(`the load died (${signal ?? `code ${code}`}): ${errors}`);
      over ??= new Error("the load has ended");
      for (const { reject } of waiting.values()) reject(over);
      waiting.clear();
      resolve();
    });
  });
  const ask = (type, message) =>
    new Promise((resolve, reject) => {
      if (over) return reject(over);
      waiting.set(type, { resolve, reject });
      if (message) load.send(message, (error) => error && reject(over ?? error));
    });

  await ask("started");
  return {
    pid: load.pid,
    snapshot: () => ask("snapshot", "snapshot"),
    async stop() {
      const result = await ask("result", "stop");
      await ended;
      if (result.total === 0) throw new Error("the load sent nothing");
      return result;
    },
    /** Without a result; for a cleanup. */
    async abort() {
      load.kill("SIGKILL");
      await ended;
    },
  };
}

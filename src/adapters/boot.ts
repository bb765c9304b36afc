import { spawn } from "node:child_process";
import { createServer } from "node:net";
import type { Booter } from "../rollout/boot.js";
import { demandDescriptors } from "./descriptors.js";
import { cleanEnvironment } from "./environment.js";
import { markerName } from "./family.js";
import { reap } from "./processes.js";
import { accountOf } from "./user.js";

/** Milliseconds between TERM and KILL. */
const graceMs = 2000;

/** Boots processes in a group of their own, with a clean environment. */
export function createBooter(): Booter {
  return {
    boot({ command: [file, ...args], cwd, user, group, env, marker, onOutput, onMessage, onExit }) {
      const account = user !== undefined && process.getuid?.() === 0 ? accountOf(user, group) : undefined;
      demandDescriptors();
      const child = spawn(file, args, {
        cwd,
        ...(account && { uid: account.uid, gid: account.gid }),
        env: {
          ...cleanEnvironment(),
          ...(account && { HOME: account.home }),
          ...env,
          [markerName]: marker,
        },
        detached: true,
        stdio: ["ignore", "pipe", "pipe", "ipc"],
      });
      for (const stream of ["stdout", "stderr"] as const) {
        child[stream]?.setEncoding("utf8").on("data", (text: string) => onOutput(stream, text));
      }
      child.on("message", (message) => onMessage(message as object));
      let over = false;
      const exit = (code: number | null, signal: string | null) => {
        if (over) return;
        over = true;
        onExit(code, signal);
      };
      child.on("error", (error) => {
        onOutput("stderr", `${error.message}\n`);
        exit(null, null);
      });
      // `close` comes when the output is complete, unless a child of its own holds the pipes open.
      child.on("close", exit);
      child.on("exit", (code, signal) => setTimeout(exit, 500, code, signal).unref());
      return async () => {
        await reap(marker, { leader: child.pid, graceMs });
      };
    },
    async sweep(marker) {
      await reap(marker, { graceMs });
    },
    freePort: () =>
      new Promise((resolve, reject) => {
        const server = createServer();
        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => {
          const address = server.address();
          server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
        });
      }),
  };
}

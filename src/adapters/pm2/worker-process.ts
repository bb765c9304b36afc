import { type ChildProcess, fork } from "node:child_process";
import { Fault } from "../../domain/fault.js";
import type { Pm2Event } from "../../rollout/pm2.js";
import { builtFile } from "../built.js";
import { cleanEnvironment } from "../environment.js";
import type { CallName, Calls, Reply } from "./messages.js";

export const unreachable = (pm2Home: string): Fault =>
  new Fault(
    "pm2_unreachable",
    `the PM2 daemon of ${pm2Home} does not run, or ended meanwhile`,
    "Start it with `pm2 resurrect`, or deploy again: dropless starts PM2 and brings back what was saved.",
  );

interface WorkerDeps {
  pm2Home: string;
  onEvent: (event: Pm2Event) => void;
  onEnd: () => void;
}

/** One run of the worker process; after its end it is not used again. */
export function startWorker({ pm2Home, onEvent, onEnd }: WorkerDeps) {
  const child: ChildProcess = fork(builtFile("./worker.js", import.meta.url), [], {
    cwd: pm2Home,
    env: { ...cleanEnvironment(), PM2_HOME: pm2Home },
    execArgv: [],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const pending = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let lastId = 0;
  let ended = false;

  const end = () => {
    if (ended) return;
    ended = true;
    for (const { reject } of pending.values()) reject(unreachable(pm2Home));
    pending.clear();
    child.kill("SIGKILL");
    onEnd();
  };
  child.on("error", end);
  child.on("exit", end);
  child.on("message", (reply: Reply) => {
    if ("gone" in reply) return end();
    if ("event" in reply) return onEvent(reply.event);
    const waiting = pending.get(reply.id);
    pending.delete(reply.id);
    if ("result" in reply) return waiting?.resolve(reply.result);
    const hint = "PM2's own log (pm2.log in its home) has the details.";
    waiting?.reject(new Fault("pm2_refused", `PM2 refused: ${reply.error.split("\n")[0]}`, hint));
  });

  return {
    get ended() {
      return ended;
    },
    end,
    call<Name extends CallName>(
      call: Name,
      args: Calls[Name]["args"],
      deadlineMs: number,
    ): Promise<Calls[Name]["result"]> {
      return new Promise((resolve, reject) => {
        if (ended) return reject(unreachable(pm2Home));
        const id = ++lastId;
        const timer = setTimeout(() => {
          pending.delete(id);
          const fault = new Fault(
            "pm2_hung",
            `the PM2 daemon of ${pm2Home} did not answer "${call}" within ${Math.round(deadlineMs / 1000)} s`,
            "Look at its process and at pm2.log; `pm2 update` restarts a daemon that hangs (and every app with it).",
          );
          reject(fault);
          // Whatever it still waits for must not be done late.
          end();
        }, deadlineMs);
        const settle =
          <T>(then: (value: T) => void) =>
          (value: T) => {
            clearTimeout(timer);
            then(value);
          };
        pending.set(id, { resolve: settle(resolve as (value: unknown) => void), reject: settle(reject) });
        child.send({ id, call, args });
      });
    },
  };
}

/**
 * An instance that stands by boots as any other and waits with the listening on the app's port until it is let, so that
 * many can boot while the first is being proven. For the app it is a `listen` that takes its time, as it does in
 * every cluster.
 */
import fs = require("node:fs");
import net = require("node:net");

import type { Args, Instance } from "./types.cjs";

/** How often it is looked whether the file is gone, should nobody have told. Milliseconds. */
const lookMs = 250;

/** Calls `done` once; gives what ends the waiting. */
function whenGone(file: string, done: () => void): () => void {
  let watcher: fs.FSWatcher | undefined;
  const end = (): void => {
    clearInterval(timer);
    watcher?.close();
    watcher = undefined;
  };
  const look = (): void => {
    if (fs.existsSync(file)) return;
    end();
    done();
  };
  const timer = setInterval(look, lookMs);
  try {
    watcher = fs.watch(file, look);
    watcher.on("error", () => {});
  } catch {}
  return end;
}

/** Gives a function that is true when it has the listening wait, and calls `listen` once it is time. */
function standBy(instance: Instance) {
  const file = instance.isChild || instance.preflightPort ? undefined : instance.env.DROPLESS_STANDBY;
  const waiting = new Map<net.Server, () => void>();
  if (!file) return () => false;

  const close = net.Server.prototype.close;
  net.Server.prototype.close = function (this: net.Server, ...args: Args) {
    waiting.get(this)?.();
    waiting.delete(this);
    return Reflect.apply(close, this, args);
  } as typeof net.Server.prototype.close;

  return (server: net.Server, listen: () => void): boolean => {
    if (waiting.has(server) || !fs.existsSync(file)) return false;
    const end = whenGone(file, () => {
      // Stopped before it ever accepted: it has nothing to finish, and is on its way out.
      if (!waiting.delete(server) || instance.phase !== "serving") return;
      try {
        listen();
      } catch (error) {
        server.emit("error", error);
      }
    });
    waiting.set(server, end);
    instance.report("dropless:standing-by", { port: instance.appPort });
    return true;
  };
}

export = { standBy };

import { existsSync, type FSWatcher, watch } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { findGod } from "./god.js";

interface Deps {
  /** Absolute. */
  pm2Home: string;
  /** PM2 crashed, or was replaced by another: what it ran may be lost. */
  onLost: () => void;
  /** Milliseconds; what PM2 needs to be gone for good, or to be there again when it was restarted. */
  settleMs?: number;
  /** Milliseconds; a God that comes so soon after one was ended politely is a restart (`pm2 update`, its unit). */
  restartMs?: number;
}

export interface GodWatch {
  /** There may be a God now where none was. Resolves with whether there is one, and it is watched. */
  look(): Promise<boolean>;
  close(): void;
}

const longestPauseMs = 30_000;

/**
 * Notices the end of the God daemon of `pm2Home` without asking: it holds a connection to it on which nothing is ever
 * said, and which the kernel closes with it. While there is no God, the kernel tells of a new file in its home. So
 * neither costs a wake-up at rest, nor the memory of PM2's library; and nothing here can start a God.
 *
 * One that was ended politely, and does not come back soon, was ended by a person (`pm2 kill` removes its pid file,
 * a crash does not): that is not `onLost`.
 */
export function watchGod({ pm2Home, onLost, settleMs = 1_000, restartMs = 15_000 }: Deps): GodWatch {
  let socket: Socket | undefined;
  let attached = Promise.resolve(false);
  let folder: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  let pauseMs = 500;
  /** Until then a new God is the old one, restarted; milliseconds of `performance.now`. */
  let restartUntil = 0;
  let closed = false;

  const later = (work: () => void, ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = undefined;
      work();
    }, ms);
    timer.unref();
  };

  const runs = (): boolean => {
    try {
      return findGod(pm2Home) !== undefined;
    } catch {
      // Another user's: every deploy says so.
      return false;
    }
  };

  function awaitGod(): void {
    if (closed || folder) return;
    try {
      folder = watch(pm2Home, { persistent: false }, (_, name) => {
        if (name === "rpc.sock" || name === "pm2.pid") later(attach, 200);
      });
      folder.on("error", () => stopWaiting());
    } catch {
      // No such folder: whoever makes it will have us look.
    }
  }

  function stopWaiting(): void {
    folder?.close();
    folder = undefined;
  }

  function attach(): void {
    if (closed || socket) return;
    if (!runs()) {
      awaitGod();
      return;
    }
    let isThere = false;
    const one = connect(join(pm2Home, "rpc.sock"));
    socket = one;
    attached = new Promise((resolve) => {
      one.once("connect", () => resolve(true));
      one.once("close", () => resolve(false));
    });
    one.unref();
    one.resume();
    one.once("connect", () => {
      isThere = true;
      pauseMs = 500;
      stopWaiting();
      if (performance.now() < restartUntil) onLost();
      restartUntil = 0;
    });
    one.on("error", () => {});
    one.once("close", () => {
      socket = undefined;
      attached = Promise.resolve(false);
      if (closed) return;
      if (isThere) return later(ended, settleMs);
      // It is about to listen, or about to end.
      later(attach, pauseMs);
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
    });
  }

  function ended(): void {
    if (runs()) onLost();
    else if (existsSync(join(pm2Home, "pm2.pid"))) onLost();
    else restartUntil = performance.now() + restartMs;
    awaitGod();
    attach();
  }

  return {
    look() {
      if (!timer) attach();
      return attached;
    },
    close() {
      closed = true;
      clearTimeout(timer);
      stopWaiting();
      socket?.destroy();
    },
  };
}

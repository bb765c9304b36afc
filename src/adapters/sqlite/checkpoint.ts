import { Worker } from "node:worker_threads";
import { builtFile } from "../built.js";
import type { Database } from "./driver.js";

/** How many commits one checkpoint is made for: of one delivery each some 700 pages, of many some thousand. */
const every = 50;
/** When SQLite's own checkpoint is made, bytes. */
const fullLog = 32_000 * 1024;
/** How long the thread is kept for the next one, milliseconds. */
const idleMs = 5_000;
/** How long its end waits at most for what it does, milliseconds. */
const closingMs = 5_000;

/** SQLite counts it in pages, and those of older stores are larger. */
export const pagesOfFullLog = (db: Database): number =>
  Math.round(fullLog / Number(db.prepare("PRAGMA page_size").get()?.page_size ?? 4096));

/**
 * Moves what is in the write-ahead log into the database now and then. It is the one thing SQLite does that takes
 * long, two syncs of everything that has changed, so a thread does it, which is there only while much is written.
 * Nobody waits for it. SQLite's own checkpoint, at the end of whichever commit fills the log, stays behind it for
 * when it falls back or cannot run.
 */
export function createCheckpoints(database: string) {
  let commits = 0;
  let thread: Worker | undefined;
  let busy = false;
  let idle: NodeJS.Timeout | undefined;
  /** 0 while the thread loads SQLite or is in it. */
  const isIdle = new Int32Array(new SharedArrayBuffer(4));

  const end = (): void => {
    clearTimeout(idle);
    const ended = thread;
    thread = undefined;
    busy = false;
    void ended?.terminate();
  };

  function start(): Worker {
    const started = new Worker(builtFile("./checkpoint-thread.js", import.meta.url), {
      workerData: { database, isIdle },
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
    });
    started.unref();
    const over = () => thread === started && end();
    started.on("error", over);
    started.on("exit", over);
    started.on("message", () => {
      busy = false;
      idle = setTimeout(over, idleMs).unref();
    });
    return started;
  }

  return {
    /** After each commit. */
    committed(): void {
      commits++;
      if (commits < every || busy) return;
      commits = 0;
      busy = true;
      clearTimeout(idle);
      Atomics.store(isIdle, 0, 0);
      thread ??= start();
      thread.postMessage("now");
    },
    close(): void {
      // A thread that is ended while it is in SQLite's package takes the whole process with it (SIGABRT).
      if (thread) Atomics.wait(isIdle, 0, 0, closingMs);
      end();
    },
  };
}

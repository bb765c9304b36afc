/** The thread of checkpoint.ts: a connection of its own, and a checkpoint for each message; the first is there when it starts. */
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./driver.js";

const { database, isIdle } = workerData as { database: string; isIdle: Int32Array };
const db = openDatabase(database);
db.exec("PRAGMA busy_timeout = 0; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0");
parentPort?.on("message", () => {
  let error: string | undefined;
  try {
    db.exec("PRAGMA wal_checkpoint(PASSIVE)");
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  Atomics.store(isIdle, 0, 1);
  Atomics.notify(isIdle, 0);
  parentPort?.postMessage(error);
});

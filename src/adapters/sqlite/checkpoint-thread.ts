/** The thread of checkpoint.ts: a connection of its own, and a checkpoint for each message. */
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./driver.js";

const db = openDatabase(String(workerData));
db.exec("PRAGMA busy_timeout = 0; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0");
parentPort?.on("message", () => {
  let error: string | undefined;
  try {
    db.exec("PRAGMA wal_checkpoint(PASSIVE)");
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  parentPort?.postMessage(error);
});

import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fault } from "../../domain/fault.js";
import { BUSY, type Database, sqliteCode } from "./driver.js";

/**
 * One process per data folder, daemon or deploy.sh. The lock is an exclusive transaction on a small database of
 * its own: the kernel takes it back when its holder dies, however it dies, and no pid is trusted for it (pids
 * are used again). The file beside it only lets the refusal name the holder.
 *
 * Returns the release. Fault `data_dir_in_use`.
 */
export function lockDataDir(dataDir: string, open: (path: string) => Database): () => void {
  const pidFile = join(dataDir, "lock.pid");
  const dbFile = join(dataDir, "lock.db");
  const db = open(dbFile);
  try {
    db.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    if (sqliteCode(error) !== BUSY) throw error;
    throw inUse(dataDir, pidFile);
  }
  try {
    chmodSync(dbFile, 0o600);
    // A new one, with this mode whatever an earlier one had.
    rmSync(pidFile, { force: true });
    writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    db.close();
    throw error;
  }
  return () => unlock(db, pidFile);
}

function unlock(db: Database, pidFile: string): void {
  rmSync(pidFile, { force: true });
  db.close();
}

function inUse(dataDir: string, pidFile: string): Fault {
  let holder = "another process";
  try {
    holder = `the process with pid ${readFileSync(pidFile, "utf8").trim()}`;
  } catch {
    // It has just taken the lock, or is just letting go of it.
  }
  return new Fault(
    "data_dir_in_use",
    `The data folder ${dataDir} is in use by ${holder}.`,
    "Only one dropless may work on it: stop that process first, or give this one another `dataDir`.",
  );
}

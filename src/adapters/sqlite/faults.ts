import { join } from "node:path";
import { Fault } from "../../domain/fault.js";
import { FULL, isDamage, sqliteCode } from "./driver.js";

/** Why a store could not be opened. */
export function unusable(dataDir: string, error: unknown): Fault {
  const reason = error instanceof Error ? error.message : String(error);
  if (isDamage(error))
    return new Fault(
      "store_damaged",
      `The store ${join(dataDir, "dropless.db")} is damaged or is no database (${reason}).`,
      "Put back a copy of it, or move it away to start with an empty one; the apps and their releases stay as they are.",
      { cause: error },
    );
  return new Fault(
    "data_dir_unusable",
    `The data folder ${dataDir} cannot be used (${reason}).`,
    "Make sure that it can be written by the user who runs dropless and that its disk has room.",
    { cause: error },
  );
}

/** Why a write was not made. */
export const unwritable = (error: unknown): Fault =>
  new Fault(
    "store_unwritable",
    `The store could not be written (${error instanceof Error ? error.message : String(error)}), so nothing was changed.`,
    sqliteCode(error) === FULL
      ? "Make room on the disk of `dataDir`; dropless goes on by itself."
      : "Make sure that the disk of `dataDir` is writable; dropless goes on by itself. After an error of the disk (`dmesg` tells), stop dropless, which holds it open, check it, mount it again, and start dropless.",
    { cause: error },
  );

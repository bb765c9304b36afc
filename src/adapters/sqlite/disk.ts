import { type Stats, statSync } from "node:fs";
import { Fault } from "../../domain/fault.js";

interface Deps {
  /** The database as it was opened. */
  file: string;
  /** Told once. */
  onReplaced: (fault: Fault) => void;
  /** How often it is looked after a write that failed, milliseconds. */
  everyMs?: number;
}

/**
 * Looks, from a write that failed to the next one that works, whether the path of the store leads to another file: its
 * disk failed and came back, as another device. What this process has open stays on the dead one for ever. To open
 * everything anew in the middle of a deploy would be a second way to recover; a new process has the one that is proven.
 * (The same device cannot come back as long as this process holds it open.)
 */
export function createDiskWatch({ file, onReplaced, everyMs = 2_000 }: Deps) {
  const own: Stats = statSync(file);
  let timer: NodeJS.Timeout | undefined;

  /** Nothing there, or a disk that answers with errors, is one that is not back yet. */
  function isReplaced(): boolean {
    try {
      const now = statSync(file);
      return now.dev !== own.dev || now.ino !== own.ino;
    } catch {
      return false;
    }
  }

  function works(): void {
    clearInterval(timer);
    timer = undefined;
  }

  function look(): void {
    if (!isReplaced()) return;
    works();
    onReplaced(
      new Fault(
        "store_replaced",
        `The disk of ${file} was mounted anew while dropless had it open.`,
        "dropless ends, and goes on from that disk when it is started again; systemd and PM2 do that by themselves.",
      ),
    );
  }

  return {
    /** A write was not made. */
    failed(): void {
      timer ??= setInterval(look, everyMs).unref();
    },
    /** A write was made, or nobody writes any more. */
    works,
    isReplaced,
  };
}

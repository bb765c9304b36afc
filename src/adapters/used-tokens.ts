import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { Fault } from "../domain/fault.js";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Lines of `<expiry> <SHA-256>`; what is unreadable was cut off by a crash before it was acknowledged. */
const read = (file: string): [string, number][] => {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .flatMap((line) => {
        const [, expires, hash] = /^(\d+) ([0-9a-f]{64})$/.exec(line) ?? [];
        return hash === undefined ? [] : [[hash, Number(expires)] as [string, number]];
      });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
};

/**
 * Remembers tokens until they expire, also over a restart, so that none is taken twice. `now`: seconds since 1970.
 */
export function openUsedTokens(file: string, now: () => number = () => Date.now() / 1000) {
  const used = new Map(read(file).filter(([, expires]) => expires > now()));
  const lines = [...used].map(([hash, expires]) => `${expires} ${hash}\n`).join("");
  writeFileSync(`${file}.new`, lines, { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
  const out = openSync(file, "a", 0o600);

  const forgetExpired = (): void => {
    for (const [hash, expires] of used) if (expires <= now()) used.delete(hash);
  };

  return {
    /** False when it was taken before. Fault `store_unwritable`: then it was not taken. */
    take(tokenId: string, expires: number): boolean {
      const hash = sha256(tokenId);
      forgetExpired();
      if (used.has(hash)) return false;
      try {
        writeSync(out, `${Math.ceil(expires)} ${hash}\n`);
        fsyncSync(out);
      } catch (error) {
        throw new Fault(
          "store_unwritable",
          `That a token was used could not be written down: ${(error as NodeJS.ErrnoException).code}`,
          "Make room on the disk that holds `dataDir`, and see that dropless may write there.",
          { cause: error },
        );
      }
      used.set(hash, expires);
      return true;
    },
    close: (): void => closeSync(out),
  };
}

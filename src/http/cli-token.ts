import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** What is shorter was cut off by a full disk, or put there by hand: it could be guessed. */
const leastLength = 32;

/**
 * The local command line's admin token. Made once, readable by the daemon's user alone; whoever can read that
 * file could read the store as well.
 */
export function ensureCliToken(file: string): string {
  mkdirSync(dirname(file), { recursive: true });
  const present = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
  if (present.length >= leastLength) {
    chmodSync(file, 0o600);
    return present;
  }
  const token = randomBytes(32).toString("base64url");
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  writeFileSync(fresh, `${token}\n`, { mode: 0o600, flag: "wx", flush: true });
  renameSync(fresh, file);
  return token;
}

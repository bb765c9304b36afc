import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * What a request of the gate carries, so that the preload tells who answered it. Kept in `folder` (mode 0600):
 * instances of earlier deploys know the same one, and nobody outside does.
 */
export function probeKey(folder: string): string {
  const file = join(folder, "probe-key");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    const key = randomBytes(16).toString("hex");
    writeFileSync(file, key, { mode: 0o600 });
    return key;
  }
}

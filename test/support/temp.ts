import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A new folder of its own; the caller removes it. */
export const makeTempDir = (label: string): string => mkdtempSync(join(tmpdir(), `dropless-${label}-`));

export const removeTempDir = (dir: string): void =>
  rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });

/** A folder that is removed when the current test ends. */
export function tempDir(label = "test"): string {
  const dir = makeTempDir(label);
  onTestFinished(() => removeTempDir(dir));
  return dir;
}

/** A port nobody listens on, as the kernel gives it. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });

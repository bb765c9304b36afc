import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
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

/** Below those that the kernel gives to connections and to who asks for any, and above those browsers refuse. */
const ports = { from: 20_000, to: 32_000 };

/** Nobody else who asks here, in this process or another, gets it while this process lives: UDP serves as the lock. */
async function claim(port: number): Promise<boolean> {
  const lock = createSocket("udp4");
  lock.unref().bind({ port, address: "127.0.0.1", exclusive: true });
  return once(lock, "listening").then(
    () => true,
    () => {
      lock.close();
      return false;
    },
  );
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port);
  return once(server, "listening").then(
    () => new Promise((resolve) => server.close(() => resolve(true))),
    () => false,
  );
}

/** A port nobody listens on, and nobody will until the caller does, however much later that is. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(ports.from, ports.to);
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

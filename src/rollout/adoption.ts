import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Pm2Process } from "./pm2.js";

interface Adopted {
  /** The deploy that found them. */
  deploy: string;
  /** As PM2 described them. */
  processes: Record<string, unknown>[];
}

/**
 * Remembers what was started by hand before dropless came, until a first deploy has succeeded or was
 * withdrawn. The file holds the app's environment: mode 0600.
 */
export function createAdoption(stateDir: string) {
  const folder = join(stateDir, "adopted");
  const fileOf = (app: string) => join(folder, `${app}.json`);

  const read = (app: string): Adopted | undefined => {
    try {
      return JSON.parse(readFileSync(fileOf(app), "utf8")) as Adopted;
    } catch {
      return undefined;
    }
  };

  return {
    /** Before the first of them is touched; a repeat by the same deploy finds fewer, and changes nothing. */
    remember(app: string, deploy: string, processes: readonly Pm2Process[]): void {
      if (processes.length === 0 || read(app)?.deploy === deploy) return;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const adopted: Adopted = { deploy, processes: processes.map(({ raw }) => raw) };
      const temporary = `${fileOf(app)}.tmp`;
      writeFileSync(temporary, JSON.stringify(adopted), { mode: 0o600, flush: true });
      renameSync(temporary, fileOf(app));
    },
    recall: (app: string) => read(app)?.processes ?? [],
    forget(app: string): void {
      rmSync(fileOf(app), { force: true });
    },
  };
}

import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createBooter } from "../../src/adapters/boot.js";
import { readDefinitions } from "../../src/adapters/pm2/ecosystem.js";
import { createPm2 } from "../../src/adapters/pm2/pm2.js";
import type { AppConfig } from "../../src/config/schema.js";
import { appSchema } from "../../src/config/schema.js";
import type { Pm2 } from "../../src/rollout/pm2.js";
import { createRollout } from "../../src/rollout/rollout.js";
import type { Rollout, Target } from "../../src/rollout/types.js";
import { type BadKind, type GoodKind, linkModules, writeApp } from "./apps.js";
import { type MemoryLog, memoryLog } from "./log.js";
import { createPrivatePm2, type PrivatePm2 } from "./pm2.js";
import { freePort, makeTempDir, removeTempDir } from "./temp.js";

const drain = fileURLToPath(new URL("../../dist/drain/", import.meta.url));

export interface Bench {
  god: PrivatePm2;
  pm2: Pm2;
  rollout: Rollout;
  root: string;
  port: number;
  /** Where the kind of app listens that listens elsewhere. */
  elsewhere: number;
  /** The app's configuration, with these changes. */
  app(changes?: object): AppConfig;
  /** A built release with the preload, as the pipeline would make it; without a kind an empty one. */
  release(name: string, kind?: GoodKind | BadKind): Target["release"];
  target(app: AppConfig, release: Target["release"], deploy?: string, env?: Record<string, string>): Target;
  io(signal?: AbortSignal): { log: MemoryLog; signal: AbortSignal };
  end(): Promise<void>;
}

/** A private PM2, a root for releases and a rollout on both. `end` also works when half of it was made. */
export async function createBench(
  wrap: (pm2: Pm2) => Pm2 = (pm2) => pm2,
  library?: string,
  freeMemory = () => Number.POSITIVE_INFINITY,
): Promise<Bench> {
  const god = createPrivatePm2(library ? { pm2: library } : {});
  const root = makeTempDir("rollout");
  const pm2 = createPm2({ pm2Home: god.home, deadlineMs: 60_000 });
  const [port, elsewhere] = [await freePort(), await freePort()];
  const rollout = createRollout({
    pm2: wrap(pm2),
    booter: createBooter(),
    readDefinitions,
    stateDir: join(root, "state"),
    host: { cores: cpus().length, probeKey: "key-of-the-tests" },
    freeMemory,
  });
  // Unique on the machine, as a deploy's id is: by it processes are found, and ended.
  const unique = basename(root);
  let deploys = 0;
  return {
    god,
    pm2,
    rollout,
    root,
    port,
    elsewhere,
    app: (changes = {}) => {
      const parsed = appSchema.parse({
        repository: "/nowhere/acme/api",
        root,
        pm2: { script: "server.js", instances: 2 },
        port,
        health: { successes: 2, ready: "20s", soak: "300ms", watch: "500ms", timeout: "10s" },
        drain: { timeout: "10s" },
        ...changes,
      });
      return { ...parsed, name: "api", secrets: [] } as AppConfig;
    },
    release(name, kind) {
      const path = join(root, "releases", name);
      mkdirSync(path, { recursive: true });
      if (kind) writeApp(path, { kind, release: name, port, elsewhere });
      if (!existsSync(join(path, "node_modules"))) linkModules(path);
      cpSync(drain, join(path, ".dropless"), { recursive: true });
      return { name, path };
    },
    target: (app, release, deploy = `${unique}-${++deploys}`, env = {}) => ({ app, release, deploy, env }),
    io: (signal = new AbortController().signal) => ({ log: memoryLog(), signal }),
    async end() {
      await pm2.close();
      await god.end();
      removeTempDir(root);
    },
  };
}

/** The environment a process was started with. */
export const environOf = (pid: number): Record<string, string> =>
  Object.fromEntries(
    readFileSync(`/proc/${pid}/environ`, "utf8")
      .split("\0")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );

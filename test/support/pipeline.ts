import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createBuildCache } from "../../src/adapters/build-cache.js";
import { createBuilds } from "../../src/adapters/builds.js";
import { createModules } from "../../src/adapters/modules/modules.js";
import { identify } from "../../src/adapters/programs.js";
import { createReleases } from "../../src/adapters/releases.js";
import { type AppConfig, appSchema } from "../../src/config/schema.js";
import type { Deploy, Running } from "../../src/domain/deploy.js";
import type { Instance, Recorder } from "../../src/domain/ports.js";
import type { AppState } from "../../src/domain/request.js";
import { pendingSteps } from "../../src/domain/step.js";
import { createPipeline, type PipelineDeps } from "../../src/pipeline/pipeline.js";
import type { Git } from "../../src/pipeline/ports.js";
import type { Rollout } from "../../src/rollout/types.js";
import { memoryLog } from "./log.js";

export const sha = (digit: string): string => digit.repeat(40);

const appAt = (root: string, more: object = {}): AppConfig => ({
  ...appSchema.parse({
    repository: "/nowhere/acme/api.git",
    root,
    pm2: { script: "server.js" },
    port: 3000,
    ...more,
  }),
  name: "api",
  root,
  secrets: [],
});

const runningDeploy = (more: Partial<Running> = {}): Running => ({
  id: "d1",
  app: "api",
  trigger: "push",
  ref: "refs/heads/main",
  commit: { sha: sha("b"), message: "", author: "" },
  standsFor: [more.commit?.sha ?? sha("b")],
  createdAt: "2026-11-21T20:05:53.000Z",
  attempt: 1,
  status: "running",
  startedAt: "2026-11-21T20:05:54.000Z",
  steps: pendingSteps(),
  ...more,
});

/** What survives a crash: the store's two records. */
export interface Stored {
  deploy: Running;
  app: AppState;
}

/** A recorder whose writes are as durable as `stored` is. */
export function memoryRecorder(stored: Stored): Recorder {
  const set = (more: Partial<Running>) => {
    stored.deploy = { ...stored.deploy, ...more };
  };
  return {
    get deploy() {
      return stored.deploy;
    },
    step(name, status, _waitedMs, reason) {
      const more = { status, ...(reason !== undefined && { reason }) };
      set({ steps: stored.deploy.steps.map((step) => (step.name === name ? { ...step, ...more } : step)) });
    },
    commit: (commit) => set({ commit }),
    release: (release) => set({ release }),
    previous: (previous) => set({ previous }),
    receipt: (receipt) => set({ receipt }),
    decide: (decision) => set({ decision }),
    live(live, left) {
      stored.app = { ...stored.app, live, left };
    },
    app: () => stored.app,
  };
}

export const never = (): AbortSignal => new AbortController().signal;

/** As the queue has it: the process's end aborts both signals, a cancel only the first. */
export function endingOf(signal: AbortSignal): AbortSignal {
  const ending = new AbortController();
  const look = () => signal.reason === "handover" && ending.abort("handover");
  if (signal.aborted) look();
  else signal.addEventListener("abort", look);
  return ending.signal;
}

export const instance = (pmId: number, release?: string): Instance => ({
  pmId,
  name: "api",
  pid: 1000 + pmId,
  status: "online",
  number: pmId,
  release,
  restarts: 0,
  uptimeMs: 1,
  memoryBytes: 1,
  cwd: "/",
  script: "server.js",
});

/** Two instances as PM2 would have them, and the ways in which a rollout can go wrong. */
function fakeRollout(world: { instances: Instance[]; saved: number; calls: string[] }) {
  let next = 100;
  const faults: Partial<Record<"preflight" | "converge" | "half" | "watch" | "back" | "withdraw", unknown>> =
    {};
  const settle = async (release: string) => {
    if (world.instances.length === 2 && world.instances.every((one) => one.release === release)) return;
    world.instances = [instance(next++, release), instance(next++, release)];
  };
  const rollout: Rollout = {
    async preflight() {
      world.calls.push("preflight");
      if (faults.preflight) throw faults.preflight;
    },
    async converge({ release }, { trusted, signal }) {
      world.calls.push(`converge ${release.name}${trusted ? " trusted" : ""}`);
      signal.throwIfAborted();
      if (trusted && faults.back) throw faults.back;
      if (trusted) return settle(release.name);
      if (faults.converge) throw faults.converge;
      if (faults.half) {
        world.instances = [instance(next++, release.name), ...world.instances.slice(1)];
        throw faults.half;
      }
      await settle(release.name);
    },
    async watch() {
      world.calls.push("watch");
      if (faults.watch) throw faults.watch;
    },
    async withdraw() {
      world.calls.push("withdraw");
      if (faults.withdraw) throw faults.withdraw;
      world.instances = [];
    },
    instances: async () => world.instances,
    async save() {
      world.saved++;
    },
    async close() {},
  };
  return { rollout, faults };
}

/** A line of commits a, b, c …, of which each contains those before it. */
export function lineGit(head: string, changed: string[] = ["server.js"]): Git {
  const contains = (outer: string, inner: string) => outer >= inner;
  return {
    fetch: async () => {},
    head: async () => head,
    resolve: async () => head,
    onBranch: async (shas) => shas.filter((one) => contains(head, one)),
    newest: async (shas) => [...shas].sort().at(-1),
    contains: async (outer, inner) => contains(outer, inner),
    changedFiles: async () => changed,
    tree: async (id) => id,
    has: async () => false,
    commit: async (id) => ({ sha: id, message: `change ${id[0]}`, author: "Ada" }),
    async checkout(_sha, into) {
      writeFileSync(join(into, "server.js"), "");
    },
  };
}

/** An app below `root` with everything real but git, the commands and what serves. */
export function createWorld(root: string, more: object = {}) {
  const preload = join(root, "drain");
  mkdirSync(preload, { recursive: true });
  writeFileSync(join(preload, "preload.cjs"), "");
  const app = appAt(root, { build: "make", migrate: "migrate", install: "install", ...more });
  let time = Date.parse("2026-11-21T20:05:53.000Z");
  const now = () => {
    time += 1_000;
    return new Date(time);
  };
  const world = { instances: [] as Instance[], saved: 0, calls: [] as string[] };
  const fake = fakeRollout(world);
  const log = memoryLog();
  const succeeded: Deploy[] = [];
  const stored: Stored = { deploy: runningDeploy(), app: {} };
  const releases = createReleases({ app, now, preload, reserveBytes: 0 });
  const modules = createModules({ app });
  const commands: string[] = [];
  const deps: PipelineDeps = {
    apps: { api: app },
    git: () => lineGit(sha("c")),
    releases: () => releases,
    builds: () => createBuilds({ app, releases }),
    modules: () => modules,
    buildCache: () => createBuildCache({ app }),
    identify,
    rollout: fake.rollout,
    startProbe: () => ({ stop: async () => ({ probes: 1204, failed: 0, maxGapMs: 31 }) }),
    logs: { open: () => log },
    run: async ({ command }) => void commands.push(typeof command === "string" ? command : command.join(" ")),
    reap: async () => 0,
    succeeded: () => [...succeeded].reverse(),
    env: { PATH: process.env.PATH, HOME: root },
    now,
    pauseMs: 1,
    redact: (text) => text.replaceAll("hush-hush", "***"),
  };
  const begin = (deploy: Partial<Running>) => {
    stored.deploy = runningDeploy({ standsFor: [deploy.commit?.sha ?? sha("b")], ...deploy });
  };
  return {
    app,
    world,
    log,
    faults: fake.faults,
    stored,
    releases,
    modules,
    deps,
    commands,
    succeeded,
    begin,
    run: (
      signal = new AbortController().signal,
      over: Partial<PipelineDeps> = {},
      ending = endingOf(signal),
    ) => createPipeline({ ...deps, ...over })(memoryRecorder(stored), signal, ending),
    /** A deploy that went well; gives its release's name. */
    async deployed(id: string, commit: string): Promise<string> {
      begin({ id, commit: { sha: commit, message: "", author: "" } });
      const outcome = await createPipeline(deps)(memoryRecorder(stored), never(), never());
      if (outcome.status !== "succeeded") throw new Error(JSON.stringify(outcome));
      succeeded.push({ ...stored.deploy, status: "succeeded", finishedAt: now().toISOString() });
      return stored.deploy.release ?? "";
    },
  };
}

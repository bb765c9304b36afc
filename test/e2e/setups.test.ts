import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles, linkModules } from "../support/apps.js";
import { createHost, type DeployAnswer, type Host } from "../support/host.js";
import { startLoad } from "../support/load.js";
import { createRepo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

type Files = Record<string, string>;

const put = (dir: string, files: Files): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
};

/** An ecosystem file as people have it: CommonJS in a package that may be ESM. */
const ecosystem = (name: string, more: object): string =>
  `module.exports = { apps: [${JSON.stringify({ name, script: "./server.js", ...more })}] };\n`;

/** Closes the server, awaits the pool's end, forces the exit after six seconds. */
const poolHandler = (proof: string) => `
import { appendFileSync } from "node:fs";
const pool = { end: () => new Promise((resolve) => setTimeout(resolve, 150)) };
process.on("SIGINT", () => {
  setTimeout(() => process.exit(1), 6000);
  server.close(async () => {
    await pool.end();
    appendFileSync(${JSON.stringify(proof)}, "the pool has ended\\n");
    process.exit(0);
  });
});
`;

const monorepo = (release: string, port: number): Files => {
  const api = appFiles({ kind: "http-close", release, port });
  return {
    "package.json": JSON.stringify({
      name: "shop",
      private: true,
      packageManager: "pnpm@9.15.9",
      // As with turbo: what stands behind the script's name is the script's.
      scripts: {
        build: 'each() { pnpm "$1" run build; }; each',
        "db:migrate": 'each() { pnpm "$1" run db:migrate; }; each',
      },
    }),
    "pnpm-workspace.yaml": "packages:\n  - apps/*\n  - packages/*\n",
    "pnpm-lock.yaml": `lockfileVersion: '9.0'

settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false

importers:

  .: {}

  apps/api:
    dependencies:
      '@shop/greeting':
        specifier: workspace:*
        version: link:../../packages/greeting

  packages/greeting: {}
`,
    "packages/greeting/package.json": JSON.stringify({
      name: "@shop/greeting",
      version: "1.0.0",
      type: "module",
      exports: "./index.js",
    }),
    "packages/greeting/index.js": 'export const greeting = "hello";\n',
    "apps/api/package.json": JSON.stringify({
      name: "api",
      version: "1.0.0",
      type: "module",
      scripts: {
        build: "mkdir -p dist && cp src/server.js dist/server.js",
        "db:migrate": "echo migrated >> ../../migrated",
      },
      dependencies: { "@shop/greeting": "workspace:*" },
    }),
    "apps/api/src/server.js": `import { greeting } from "@shop/greeting";\nif (greeting !== "hello") throw new Error("no greeting");\n${api["server.js"]}`,
  };
};

describe("today's set-ups, run as they are written: adopted, then deployed under load", () => {
  let host: Host;

  beforeAll(async () => {
    host = await createHost();
  });
  afterAll(() => host?.end());

  /** Starts it by hand the way people do, adopts it, deploys once more; both under load. */
  async function adopt(options: {
    name: string;
    port: number;
    files: (release: string) => Files;
    block: Record<string, unknown>;
    prepare?: (dir: string) => void;
    pm2: string[];
    from?: string;
  }) {
    const { name, port, files } = options;
    const byHand = join(host.dir, "by-hand", name);
    put(byHand, files("hand"));
    options.prepare?.(byHand);
    await host.pm2.run(options.pm2, { cwd: join(byHand, options.from ?? ".") });
    const repo = createRepo(host.dir, name);
    const root = host.addApp(name, { repository: repo.url, port, ...options.block });
    linkModules(root);
    await host.stop();
    await host.start();
    await expect
      .poll(async () => fetch(`http://127.0.0.1:${port}/`).then((answer) => answer.text()), {
        timeout: 60_000,
      })
      .toContain("ok hand ");

    const adopting = await startLoad({ port });
    const first = await host.deploy(repo.fullName, repo.commit(files("one"), "adopted"));
    const adopted = await adopting.stop();
    expect(first, await host.logOf(first.id)).toMatchObject({ status: "succeeded" });

    const load = await startLoad({ port });
    const second = await host.deploy(repo.fullName, repo.commit(files("two"), "the next"));
    const seen = await load.stop();
    expect(second, await host.logOf(second.id)).toMatchObject({
      status: "succeeded",
      receipt: { failed: 0 },
    });
    expect(seen.failures).toEqual([]);
    const running = (await host.pm2.list()).filter((process) => process.name === name);
    await host.pm2.cli("delete", name);
    return { root, adopted, second, running };
  }
  const expectNumbers = (running: { pm2_env: Record<string, unknown> }[], count: number) =>
    expect(running.map(({ pm2_env }) => Number(pm2_env.NODE_APP_INSTANCE)).sort()).toEqual(
      Array.from({ length: count }, (_, index) => index),
    );

  it("an ecosystem file with max, a memory limit, time limits, a hard-coded port, no health route", async () => {
    const port = await freePort();
    const { running } = await adopt({
      name: "max",
      port,
      files: (release) => {
        const files = appFiles({ kind: "http", release, port });
        return {
          ...files,
          "server.js": (files["server.js"] as string).replace("Number(process.env.PORT) || ", ""),
          "ecosystem.config.cjs": ecosystem("max", {
            instances: "max",
            exec_mode: "cluster",
            max_memory_restart: "500M",
            listen_timeout: 10000,
            kill_timeout: 5000,
          }),
        };
      },
      block: {
        pm2: { config: "ecosystem.config.cjs" },
        health: { soak: "300ms", watch: "700ms" },
        build: false,
      },
      pm2: ["start", "ecosystem.config.cjs"],
    });
    expect(running.length).toBeGreaterThan(0);
    expectNumbers(running, running.length);
    expect(running.every(({ pm2_env }) => pm2_env.max_memory_restart === 500 * 1024 * 1024)).toBe(true);
  });

  it("a SIGINT handler that awaits a pool's end and forces the exit after six seconds", async () => {
    const port = await freePort();
    const proof = join(host.dir, "pool-ended");
    const { running } = await adopt({
      name: "pool",
      port,
      files: (release) => {
        const files = appFiles({ kind: "http", release, port });
        return {
          ...files,
          "server.js": files["server.js"] + poolHandler(proof),
          "ecosystem.config.cjs": ecosystem("pool", {
            instances: 2,
            exec_mode: "cluster",
            kill_timeout: 8000,
          }),
        };
      },
      block: { pm2: { config: "ecosystem.config.cjs" } },
      pm2: ["start", "ecosystem.config.cjs"],
    });
    expectNumbers(running, 2);
    // The two of release one were drained first; then their own handler ran to its end, not into its force.
    expect(readFileSync(proof, "utf8").split("\n").length).toBeGreaterThanOrEqual(3);
  });

  it("a Hono app with SIGTERM and SIGINT", async () => {
    const port = await freePort();
    const { running } = await adopt({
      name: "hono",
      port,
      files: (release) => appFiles({ kind: "hono", release, port }),
      prepare: linkModules,
      block: { pm2: { script: "server.js", instances: 2 } },
      pm2: ["start", "server.js", "--name", "hono", "-i", "2"],
    });
    expectNumbers(running, 2);
  });

  it("a pnpm monorepo, built and migrated by filter, started from dist", async () => {
    const port = await freePort();
    const steps = (deploy: DeployAnswer) =>
      Object.fromEntries(deploy.steps.map(({ name, status }) => [name, status]));
    const { running, second, root } = await adopt({
      name: "shop",
      port,
      files: (release) => monorepo(release, port),
      prepare: (dir) => {
        // What `pnpm install && pnpm run build` has left there.
        put(dir, {
          "apps/api/dist/server.js": (monorepo("hand", port)["apps/api/src/server.js"] as string).replace(
            '"@shop/greeting"',
            '"../../../packages/greeting/index.js"',
          ),
        });
      },
      block: {
        directory: "apps/api",
        build: "pnpm run build --filter=api",
        migrate: "pnpm run db:migrate --filter=api",
        pm2: { script: "dist/server.js", instances: 2 },
      },
      pm2: ["start", "dist/server.js", "--name", "shop", "-i", "2"],
      from: "apps/api",
    });
    expectNumbers(running, 2);
    expect(steps(second)).toMatchObject({ install: "succeeded", build: "succeeded", migrate: "succeeded" });
    const release = join(root, "releases", second.release as string);
    expect(readFileSync(join(release, "migrated"), "utf8")).toBe("migrated\n");
    expect(existsSync(join(release, "apps/api/dist/server.js"))).toBe(true);
    rmSync(join(host.dir, "by-hand"), { recursive: true, force: true });
  });
});

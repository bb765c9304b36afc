import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type AppConfig, appSchema } from "../../src/config/schema.js";
import { type Definition, instanceCount, wantedFrom } from "../../src/rollout/definition.js";
import { tempDir } from "../support/temp.js";

const host = { cores: 4, probeKey: "key" };

function place(files: string[]) {
  const root = tempDir("definition");
  const path = join(root, "releases", "r1");
  mkdirSync(join(path, ".dropless"), { recursive: true });
  for (const file of [".dropless/preload.cjs", ...files]) {
    mkdirSync(join(path, file, ".."), { recursive: true });
    writeFileSync(join(path, file), "");
  }
  const want = (definitions: Definition[], changes: object = {}, env: Record<string, string> = {}) => {
    const parsed = appSchema.parse({
      repository: "x",
      root,
      port: 3000,
      pm2: { config: "ecosystem.config.js" },
      ...changes,
    });
    const app = { ...parsed, name: "api", secrets: [] } as AppConfig;
    return wantedFrom(definitions, { app, release: { name: "r1", path }, deploy: "d1", env }, host);
  };
  return { root, path, want };
}

test("instances count as PM2 counts them", () => {
  const of = (value: unknown) => instanceCount(value, 4);
  expect([of(undefined), of(3), of("3"), of("max"), of(0), of("0"), of(-1), of("-1"), of(-9)]).toEqual([
    1, 3, 3, 4, 4, 4, 3, 3, 1,
  ]);
});

test("the mode is cluster where instances are given and Node runs it, else fork, unless the file says", () => {
  const { want } = place(["a.js", "b.py"]);
  const mode = (definition: Definition) => want([definition])[0]?.mode;
  expect(mode({ script: "a.js" })).toBe("fork");
  expect(mode({ script: "a.js", instances: 1 })).toBe("cluster");
  expect(mode({ script: "a.js", instances: "max" })).toBe("cluster");
  expect(mode({ script: "a.js", instances: 2, exec_mode: "fork" })).toBe("fork");
  expect(mode({ script: "a.js", exec_mode: "cluster_mode" })).toBe("cluster");
  expect(mode({ script: "b.py", instances: 2 })).toBe("fork");
  expect(mode({ script: "a.js", instances: 2, interpreter: "bash" })).toBe("fork");
});

test("an instance gets the release's paths, the preload, the drain's time and its whole environment", () => {
  const { path, want } = place(["apps/api/dist/server.js"]);
  const [one] = want(
    [
      {
        name: "api",
        script: "dist/server.js",
        instances: 2,
        node_args: "--enable-source-maps --max-old-space-size=200",
        kill_timeout: 5000,
        max_memory_restart: "500M",
        args: "a b",
        env: { A: 1, B: "env", C: { d: 1 } },
        env_production: { B: "production" },
        env_staging: { B: "staging" },
      },
    ],
    { directory: "apps/api", drain: { timeout: "20s" } },
    { C: "config" },
  );
  const spec = one?.spec(1);
  const script = join(path, "apps/api/dist/server.js");
  expect(spec?.definition).toEqual({
    vizion: false,
    name: "api",
    script,
    cwd: join(path, "apps/api"),
    instances: 2,
    exec_mode: "cluster",
    node_args: [
      "--require",
      join(path, ".dropless/preload.cjs"),
      "--enable-source-maps",
      "--max-old-space-size=200",
    ],
    kill_timeout: 25_000,
    kill_retry_time: 50,
    treekill: false,
    max_memory_restart: "500M",
    args: "a b",
  });
  expect(spec?.env).toEqual({
    A: "1",
    B: "production",
    C: "config",
    PORT: "3000",
    DROPLESS_APP: "api",
    DROPLESS_RELEASE: "r1",
    DROPLESS_DEPLOY: "d1",
    DROPLESS_PROBE_KEY: "key",
    DROPLESS_PORT: "3000",
    DROPLESS_DRAIN_TIMEOUT: "20000",
  });
  expect(one?.command.slice(2)).toEqual([
    ...((spec?.definition.node_args ?? []) as string[]),
    script,
    "a",
    "b",
  ]);
});

test("an app that drains by itself keeps its own time and still reports", () => {
  const { want } = place(["a.js"]);
  const spec = want([{ script: "a.js", instances: 1 }], { drain: false })[0]?.spec(0);
  expect(spec?.definition.kill_timeout).toBe(1600);
  expect(spec?.env.DROPLESS_DRAIN).toBe("off");
});

test("a working directory or script of another place is taken to the release", () => {
  const { root, path, want } = place(["server.js"]);
  const [one] = want([{ name: "api", script: "./server.js", cwd: join(root, "current"), instances: 1 }]);
  expect(one?.spec(0).definition).toMatchObject({ cwd: path, script: join(path, "server.js") });
});

test("relative log files outlive their release, unless their folder is shared", () => {
  const { root, path, want } = place(["server.js"]);
  const definition = {
    name: "api",
    script: "server.js",
    out_file: "logs/out.log",
    error_file: "/var/log/e.log",
  };
  expect(want([definition])[0]?.spec(0).definition).toMatchObject({
    out_file: join(root, "shared/logs/out.log"),
    error_file: "/var/log/e.log",
  });
  mkdirSync(join(root, "elsewhere"));
  symlinkSync(join(root, "elsewhere"), join(path, "logs"));
  expect(want([definition])[0]?.spec(0).definition.out_file).toBe(join(path, "logs/out.log"));
});

test("of several apps one serves the port: by PORT, by name, by mode, else the first", () => {
  const { want } = place(["web.js", "job.js"]);
  const serving = (definitions: Definition[]) => want(definitions).find(({ serves }) => serves)?.name;
  const job = { name: "job", script: "job.js" };
  expect(serving([job, { name: "web", script: "web.js", env: { PORT: 3000 } }])).toBe("web");
  expect(serving([job, { name: "api", script: "web.js" }])).toBe("api");
  expect(serving([job, { name: "web", script: "web.js", instances: 2 }])).toBe("web");
  expect(serving([job, { name: "web", script: "web.js" }])).toBe("job");
  expect(want([job], { port: undefined })[0]?.serves).toBe(false);
});

test("`only` chooses, and what it names must be there", () => {
  const { want } = place(["web.js", "job.js"]);
  const both = [
    { name: "web", script: "web.js" },
    { name: "job", script: "job.js" },
  ];
  const only = (...names: string[]) =>
    want(both, { pm2: { config: "x.js", only: names } }).map(({ name }) => name);
  expect(only("job")).toEqual(["job"]);
  expect(() => only("web", "mail")).toThrow(expect.objectContaining({ code: "pm2_config" }));
  expect(() => want([])).toThrow(expect.objectContaining({ code: "pm2_config" }));
});

test("a script that is not there is told before anything is touched", () => {
  const { want } = place(["web.js"]);
  expect(() => want([{ script: "dist/web.js" }])).toThrow(
    expect.objectContaining({ code: "script_missing" }),
  );
  expect(() => want([{ name: "x" }])).toThrow(expect.objectContaining({ code: "script_missing" }));
  // A command is looked up in PATH by PM2; a preload in npm would not reach the app.
  expect(want([{ script: "npm", args: "start" }])[0]).toMatchObject({ mode: "fork", reports: false });
});

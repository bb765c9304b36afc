import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { ConfigInvalid } from "../../src/config/document.js";
import { type LoadOptions, loadConfig } from "../../src/config/load.js";
import { forgetSecrets, secretsIn } from "../../src/config/secrets.js";
import { tempDir } from "../support/temp.js";

const secret = "0123456789abcdef0123456789abcdef";
const smallest = `
apps:
  api:
    repository: git@github.com:acme/api.git
    root: /srv/api
    secrets: [env:DEPLOY_SECRET]
    pm2: { script: server.js }
`;

function load(yaml: string, options: LoadOptions = {}) {
  const dir = tempDir("config");
  writeFileSync(join(dir, "dropless.yaml"), yaml);
  return { dir, ...loadConfig({ cwd: dir, env: { DEPLOY_SECRET: secret }, home: "/home/ann", ...options }) };
}

function faultsOf(yaml: string, options: LoadOptions = {}): ConfigInvalid {
  try {
    load(yaml, options);
  } catch (error) {
    return error as ConfigInvalid;
  }
  throw new Error("it was accepted");
}

const app = (extra: string) => `${smallest}    ${extra}\n`;

it("takes the smallest real file and fills in the rest", () => {
  const { config, secretEnvNames, dir } = load(smallest);
  expect(config.apps.api).toMatchObject({
    name: "api",
    root: "/srv/api",
    branch: "main",
    on: ["push", "request"],
    secrets: [secret],
    install: "auto",
    keep: 5,
    drain: { timeout: 20_000 },
    rollout: { surge: "50%" },
    health: { timeout: 5000, successes: 3, ready: 30_000, soak: 5000, watch: 10_000 },
  });
  expect(config).toMatchObject({
    file: join(dir, "dropless.yaml"),
    dataDir: join(dir, ".dropless"),
    pm2Home: "/home/ann/.pm2",
    server: { host: "127.0.0.1", port: 9000 },
  });
  expect(secretEnvNames).toEqual(["DEPLOY_SECRET"]);
});

it("takes every key of the contract's example", () => {
  const { config } = load(`
dataDir: .dropless
server: { host: 127.0.0.1, port: 9000, publicUrl: https://deploy.example.com/, trustProxy: [10.0.0.0/8, "::1"] }
tokens:
  - { name: alice, scope: deploy, sha256: ${"ab".repeat(32)} }
pm2Home: /home/app/.pm2
apps:
  api:
    repository: git@github.com:acme/api.git
    branch: main
    root: /srv/api
    secrets: [env:DEPLOY_SECRET]
    on: [push, request]
    workflow: ci.yml
    directory: apps/api
    watch: ["apps/api/**", "packages/**"]
    shared: [.env, uploads/]
    install: auto
    build: false
    migrate: npm run db:migrate
    hooks: { beforeRollout: "true", afterRollout: "true" }
    env: { NODE_ENV: production, WORKERS: 2, DEBUG: false }
    envFile: /etc/api.env
    buildEnv: { }
    pm2: { config: ecosystem.config.js, only: [api] }
    port: 3000
    health: { path: /healthz, timeout: 5s, successes: 3, ready: 30s, soak: 500ms, watch: 2m }
    preflight: true
    drain: false
    rollout: { surge: 2 }
    timeouts: { fetch: 5m, install: 10m, build: 15m, migrate: 1h }
    limits: { memory: 1.5G }
    keep: 5
`);
  expect(config.apps.api).toMatchObject({
    env: { NODE_ENV: "production", WORKERS: "2", DEBUG: "false" },
    health: { soak: 500, watch: 120_000 },
    timeouts: { fetch: 300_000, migrate: 3_600_000 },
    limits: { memory: 1_610_612_736 },
    drain: false,
  });
  expect(config.server.publicUrl).toBe("https://deploy.example.com");
});

it("reports every fault at once, each with its line, path and hint", () => {
  const fault = faultsOf(`
dataDirr: x
server: { port: 99999 }
apps:
  api:
    repository: git@github.com:acme/api.git
    brnch: main
    root: /srv/api
    secrets: [env:DEPLOY_SECRET, plain-text-secret-of-mine]
    on: [push, workflow_run, pussh]
    pm2: { script: server.js }
  web:
    repository: -oProxyCommand=x
    root: /srv/api
    health: { path: /healthz, timeout: 5 seconds }
    limits: { memory: 2 GB }
`);
  expect(fault.code).toBe("config_invalid");
  const byPath = Object.fromEntries(fault.faults.map((one) => [one.path, one]));
  expect(Object.keys(byPath).sort()).toEqual([
    "apps.api.brnch",
    "apps.api.on.2",
    "apps.api.secrets.1",
    "apps.web.health.timeout",
    "apps.web.limits.memory",
    "apps.web.pm2",
    "apps.web.repository",
    "dataDirr",
    "server.port",
  ]);
  expect(byPath["apps.api.brnch"]).toMatchObject({ line: 7, hint: "Did you mean `branch`?" });
  expect(byPath.dataDirr?.hint).toBe("Did you mean `dataDir`?");
  expect(byPath["apps.api.on.2"]?.hint).toContain("Did you mean `push`?");
  for (const one of fault.faults) {
    expect(one.line, one.path).toBeGreaterThan(0);
    expect(fault.message).toContain(one.path);
    expect(one.hint).not.toBe("");
  }
  expect(fault.message).not.toContain("plain-text-secret-of-mine");
});

it("goes on checking what is not faulty: rules and secrets beside a misspelt key", () => {
  const paths = faultsOf(`
apps:
  api:
    repository: a/api
    root: /srv/x
    secrets: [env:UNSET_SECRET]
    on: [workflow_run]
    kep: 4
    pm2: { script: server.js }
  web:
    repository: a/web
    root: /srv/x/
    pm2: { script: server.js }
`).faults.map(({ path }) => path);
  expect(paths.sort()).toEqual(["apps.api.kep", "apps.api.secrets.0", "apps.api.workflow", "apps.web.root"]);
});

it.each([
  ["on: [workflow_run]", "apps.api.workflow"],
  ["branch: refs/heads/main", "apps.api.branch"],
  ["branch: --upload-pack=x", "apps.api.branch"],
  ["branch: 1.0", "apps.api.branch"],
  ["health: { path: /healthz }", "apps.api.port"],
  ["port: 9000", "apps.api.port"],
  ["directory: ../other", "apps.api.directory"],
  ["shared: [/etc/passwd]", "apps.api.shared.0"],
  ["shared: [./]", "apps.api.shared.0"],
  ["shared: [.dropless/bin]", "apps.api.shared.0"],
  ["cache: [.]", "apps.api.cache.0"],
  ["rollout: { surge: 0 }", "apps.api.rollout.surge"],
  ["rollout: { surge: 200% }", "apps.api.rollout.surge"],
  ["drain: true", "apps.api.drain"],
  ["env: { 1X: y }", "apps.api.env.1X"],
])("refuses `%s`", (extra, path) => {
  const { faults } = faultsOf(app(extra));
  expect(faults.map((fault) => fault.path)).toEqual([path]);
});

it.each([
  ["a second app of the same root", "apps.web.root", "root: /srv/api\n    pm2: { script: s.js }"],
  [
    "a root inside another one's releases",
    "apps.web.root",
    "root: /srv/api/releases/w\n    pm2: { script: s.js }",
  ],
  ["a second app of the same PM2 name", "apps.web.pm2", "root: /srv/w\n    pm2: { script: s.js, name: api }"],
  [
    "the same name by `only`",
    "apps.web.pm2",
    "root: /srv/w\n    pm2: { config: e.config.js, only: [w, api] }",
  ],
])("refuses %s", (_, path, block) => {
  const { faults } = faultsOf(`${smallest}  web:\n    repository: acme/web\n    ${block}\n`);
  expect(faults.map((fault) => fault.path)).toEqual([path]);
});

it("does not choose between two ways to describe one thing, and says limits in words", () => {
  const both = faultsOf(
    smallest.replace("script: server.js", "script: server.js, config: ecosystem.config.js"),
  );
  expect(both.message).toContain("apps.api.pm2 has both `config` and `script`. Keep one");
  const { message } = faultsOf(app("keep: 0\n    port: 70000\n    watch: []\n    health: { path: healthz }"));
  expect(message).toContain("apps.api.keep is too small. It is at least 1.");
  expect(message).toContain("apps.api.port is too large. It is at most 65535.");
  expect(message).toContain("apps.api.watch is empty. Give at least one.");
  expect(message).toContain('apps.api.health.path is not as it should be. It must start with "/".');
});

it("says on which line the YAML is broken", () => {
  const fault = faultsOf("apps:\n  api:\n    root: [a\n  web: }\n");
  expect(fault.code).toBe("config_invalid");
  expect(fault.faults[0]?.line).toBeGreaterThanOrEqual(3);
  expect(faultsOf("apps:\n  api: 1\n  api: 2\n").faults[0]?.line).toBe(3);
  expect(faultsOf("- just\n- a list\n").faults[0]?.message).toContain("must be a block of keys");
  expect(faultsOf("").faults[0]).toMatchObject({ path: "apps", message: "is missing" });
});

it("reads secrets from the environment and from files, and wants 16 bytes", () => {
  const dir = tempDir("secret");
  writeFileSync(join(dir, "secret"), `${secret}\n`);
  const yaml = (reference: string) => smallest.replace("env:DEPLOY_SECRET", reference);
  expect(load(yaml(`file:${dir}/secret`)).config.apps.api?.secrets).toEqual([secret]);
  expect(faultsOf(yaml(`file:${dir}/none`)).faults[0]?.message).toContain("ENOENT");
  expect(faultsOf(smallest, { env: {} }).faults[0]?.message).toContain("DEPLOY_SECRET is not set");
  const short = faultsOf(smallest, { env: { DEPLOY_SECRET: "only-fifteen-by" } });
  expect(short.message).toContain("fewer than 16 bytes");
  expect(short.message).not.toContain("only-fifteen-by");
  expect(load(smallest, { env: {}, secrets: false }).config.apps.api?.secrets).toEqual([]);
});

it("finds the file by --config, then DROPLESS_CONFIG, then beside, and never another than asked for", () => {
  const dir = tempDir("find");
  mkdirSync(join(dir, "etc"));
  for (const [file, port] of [
    ["dropless.yaml", 1],
    ["etc/asked.yaml", 2],
    ["etc/env.yaml", 3],
  ] as const)
    writeFileSync(join(dir, file), `server: { port: ${port} }${smallest.replace("/srv/api", "apps/api")}`);
  const base = { cwd: dir, home: dir, secrets: false };
  const env = { DROPLESS_CONFIG: "etc/env.yaml", PM2_HOME: "/pm2" };
  expect(loadConfig({ ...base, env: {} }).config.server.port).toBe(1);
  expect(loadConfig({ ...base, env }).config.server.port).toBe(3);
  const { config } = loadConfig({ ...base, env, config: "~/etc/asked.yaml" });
  expect(config.server.port).toBe(2);
  expect(config.pm2Home).toBe("/pm2");
  expect(config.apps.api?.root).toBe(join(dir, "etc/apps/api"));
  expect(() => loadConfig({ ...base, env, config: "etc/none.yaml" })).toThrow("no configuration at");
  expect(() => loadConfig({ ...base, env: {}, cwd: join(dir, "etc") })).toThrow("There is no configuration");
});

it("has no app behind names every object has", () => {
  const { config } = load(smallest);
  expect(config.apps.constructor).toBeUndefined();
});

it("takes the secrets out of the environment", () => {
  const env: NodeJS.ProcessEnv = { DEPLOY_SECRET: secret, PATH: "/bin" };
  forgetSecrets(["DEPLOY_SECRET"], env);
  expect(env).toEqual({ PATH: "/bin" });
});

it("resolves the secrets of notifications, and has them forgotten and kept out of sight", () => {
  const env = { DEPLOY_SECRET: secret, SLACK: "https://hooks.slack.example/T0/B0", HOOK: `${secret}-hook` };
  const yaml = (more: string) => `notify:\n${more}${smallest}`;
  const { config, secretEnvNames } = load(
    yaml(
      "  - { type: slack, url: env:SLACK }\n  - { type: webhook, url: 'https://a.example/b', secret: env:HOOK }\n",
    ),
    { env },
  );
  expect(config.notify).toMatchObject([
    { type: "slack", url: env.SLACK, on: ["succeeded", "failed", "rolled_back", "rollback_failed"] },
    { type: "webhook", url: "https://a.example/b", secret: env.HOOK },
  ]);
  expect(secretEnvNames.sort()).toEqual(["DEPLOY_SECRET", "HOOK", "SLACK"]);
  expect(secretsIn(config)).toEqual(expect.arrayContaining([secret, env.SLACK, env.HOOK]));
  const literal = faultsOf(yaml("  - { type: slack, url: 'https://hooks.slack.example/T0' }\n"), { env });
  expect(literal.faults).toMatchObject([{ path: "notify.0.url", hint: expect.stringContaining("env:NAME") }]);
  expect(literal.message).not.toContain("T0");
  const wrong = faultsOf(yaml("  - { type: slack, url: env:HOOK }\n"), { env });
  expect(wrong.faults).toMatchObject([{ path: "notify.0.url", message: "is no http address" }]);
  expect(faultsOf(yaml("  - { type: slack, url: env:SLACK, apps: [web] }\n"), { env }).faults[0]?.path).toBe(
    "notify.0.apps",
  );
  const viewed = load(`github: { token: env:HOOK }${smallest}`, { env });
  expect(viewed.config.github).toEqual({ token: env.HOOK, apiUrl: "https://api.github.com" });
  expect([viewed.secretEnvNames, secretsIn(viewed.config)].every((all) => all.length === 2)).toBe(true);
  expect(load(yaml("  - { type: slack, url: env:NONE }\n"), { secrets: false }).config.notify).toEqual([]);
});

it("takes a GitHub App in place of a token, and says which half is missing or wrong", () => {
  const folder = tempDir("github-app");
  const pem = join(folder, "app.pem");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const text = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
  writeFileSync(pem, text);
  const github = (block: string) => `github: ${block}${smallest}`;
  const { config } = load(github(`{ app: 4711, installation: 77, privateKey: "file:${pem}" }`));
  expect(config.github).toMatchObject({ app: 4711, installation: 77, privateKey: text.trim() });
  expect(secretsIn(config)).toContain(text.trim());
  for (const block of ["{ app: 4711, installation: 77 }", "{ token: env:HOOK, app: 4711 }", "{}"])
    expect(faultsOf(github(block), { env: { HOOK: "h".repeat(20) } }).message).toContain(
      "Give `token`; or `app`, `installation` and `privateKey`",
    );
  writeFileSync(pem, text.slice(0, 400));
  expect(faultsOf(github(`{ app: 4711, installation: 77, privateKey: "file:${pem}" }`)).faults).toMatchObject(
    [{ path: "github.privateKey", message: "is no private key" }],
  );
});

it("takes catchUp as yes, no or a duration that is not too short", () => {
  expect(load(smallest).config.catchUp).toBe(false);
  expect(load(`catchUp: true${smallest}`).config.catchUp).toBe(true);
  expect(load(`catchUp: 10m${smallest}`).config.catchUp).toBe(600_000);
  expect(faultsOf(`catchUp: 1s${smallest}`).faults).toMatchObject([{ path: "catchUp" }]);
});

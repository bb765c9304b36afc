import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { deployer } from "../support/deployer.js";
import type { Files } from "../support/repo.js";

const manifest = (name: string, more: object = {}) =>
  `${JSON.stringify({ name, version: "1.0.0", ...more }, null, 2)}\n`;

/** A package of the repository itself, so that installing it needs no registry. */
const local = (name: string): Files => ({
  [`local/${name}/package.json`]: manifest(name, { main: "index.js" }),
  [`local/${name}/index.js`]: `module.exports = ${JSON.stringify(name)};\n`,
});
const lockOf = (dependencies: Record<string, string>, devDependencies: Record<string, string>) => {
  const packages: Record<string, unknown> = {
    "": { name: "api", version: "1.0.0", dependencies, devDependencies },
  };
  for (const [group, dev] of [
    [dependencies, false],
    [devDependencies, true],
  ] as const) {
    for (const name of Object.keys(group)) {
      packages[`local/${name}`] = { version: "1.0.0", ...(dev ? { dev } : {}) };
      packages[`node_modules/${name}`] = { resolved: `local/${name}`, link: true };
    }
  }
  return JSON.stringify({ name: "api", version: "1.0.0", lockfileVersion: 3, requires: true, packages });
};

/** An app whose build needs a development dependency that must not go live. */
const goodApp = (): Files => {
  const dependencies = { kept: "file:local/kept" };
  const devDependencies = { builder: "file:local/builder" };
  return {
    "package.json": manifest("api", { scripts: { build: "node build.js" }, dependencies, devDependencies }),
    "package-lock.json": lockOf(dependencies, devDependencies),
    "build.js": `const fs = require("fs");
      fs.mkdirSync("dist");
      fs.writeFileSync("dist/built.json", JSON.stringify({ by: require("builder"), env: process.env }));`,
    ...local("kept"),
    ...local("builder"),
  };
};

test("a commit is fetched, installed frozen, built with its development dependencies, and goes live without them", async () => {
  const { repo, deploy, released, steps, root, log } = deployer({
    buildEnv: { FLAVOUR: "mild", NODE_ENV: "test" },
    env: { DB_URL: "postgres://app" },
    shared: ["uploads/"],
  });
  const sha = repo.commit(goodApp(), "the first\n\nwith a body");
  expect(await deploy(sha), log.text()).toEqual({ status: "succeeded" });
  const built = JSON.parse(readFileSync(released("dist/built.json"), "utf8"));
  expect(built.by).toBe("builder");
  // A clean base and buildEnv; neither the daemon's secrets nor the app's own environment.
  expect(built.env).toMatchObject({ FLAVOUR: "mild", NODE_ENV: "test" });
  expect(JSON.stringify(built.env)).not.toMatch(/hush-hush|postgres/);
  expect(readdirSync(released("node_modules")).filter((name) => !name.startsWith("."))).toEqual(["kept"]);
  expect(existsSync(released(".git"))).toBe(false);
  expect(existsSync(released(".dropless/preload.cjs"))).toBe(true);
  expect(readFileSync(join(root, "current/dist/built.json"), "utf8")).toContain("builder");
  expect(steps()).toMatchObject({
    fetch: "succeeded",
    install: "succeeded",
    build: "succeeded",
    migrate: "skipped",
  });
  expect(log.text()).toContain("$ npm ci");
});

test("without a build only what production needs is installed; without packages nothing is", async () => {
  const { repo, deploy, released, steps, log } = deployer();
  const files = goodApp();
  delete files["build.js"];
  const dependencies = { kept: "file:local/kept" };
  const devDependencies = { builder: "file:local/builder" };
  files["package.json"] = manifest("api", { dependencies, devDependencies });
  expect(await deploy(repo.commit(files)), log.text()).toEqual({ status: "succeeded" });
  expect(readdirSync(released("node_modules")).filter((name) => !name.startsWith("."))).toEqual(["kept"]);
  expect(log.text()).not.toContain("prune");

  const bare = repo.commit({ "package.json": manifest("api"), "package-lock.json": null, "server.js": "" });
  expect(await deploy(bare), log.text()).toEqual({ status: "succeeded" });
  expect(steps()).toMatchObject({ install: "skipped", build: "skipped" });
});

test("a drifted lockfile, a failing build and a failing migration each say why, and leave nothing behind", async () => {
  const { repo, deploy, root, world, log } = deployer({ migrate: "echo migrating >&2; exit 4" });
  const drifted = goodApp();
  drifted["package.json"] = manifest("api", { dependencies: { other: "file:local/kept" } });
  expect(await deploy(repo.commit(drifted))).toMatchObject({
    status: "failed",
    error: { code: "install_failed", step: "install", message: "The lockfile does not fit package.json" },
  });
  const broken = repo.commit({
    ...goodApp(),
    "build.js": `throw new TypeError("no such thing as hush-hush");\n`,
  });
  expect(await deploy(broken)).toMatchObject({
    status: "failed",
    error: {
      code: "build_failed",
      step: "build",
      message: "`npm run build` ended with exit code 1: TypeError: no such thing as ***",
    },
  });
  const cut = await deploy(
    repo.commit({
      ...goodApp(),
      "build.js": `console.error("TypeError: \\x1b]0;mine\\x07\\x1b[2J" + "y".repeat(268) + "hush-hush"); process.exit(1)\n`,
    }),
  );
  expect(cut).toMatchObject({ status: "failed", error: { message: expect.stringMatching(/y{100,}\**$/) } });
  expect(JSON.stringify(cut)).not.toContain("\\u00");
  expect(await deploy(repo.commit(goodApp()))).toMatchObject({
    status: "failed",
    error: {
      code: "migrate_failed",
      step: "migrate",
      message: "`echo migrating >&2; exit 4` ended with exit code 4",
    },
  });
  expect(log.text()).toContain("migrating\n");
  expect(readdirSync(join(root, "releases"))).toEqual([]);
  expect(world.calls).toEqual([]);
});

test("migration and hooks see env over envFile; a migration may use development tools, which then go", async () => {
  const script = `require("fs").writeFileSync("seen", require("builder") + process.env.A + process.env.B)`;
  const { repo, deploy, released, log } = deployer((dir) => {
    writeFileSync(join(dir, "api.env"), "A=1-from-file\nB=2-from-file\n");
    return {
      migrate: `node -e '${script}'`,
      hooks: { beforeRollout: "echo $A > before", afterRollout: "echo $B > after" },
      env: { A: "1-from-env" },
      envFile: join(dir, "api.env"),
    };
  });
  expect(await deploy(repo.commit(goodApp())), log.text()).toEqual({ status: "succeeded" });
  expect(readFileSync(released("seen"), "utf8")).toBe("builder1-from-env2-from-file");
  expect(readFileSync(released("before"), "utf8")).toBe("1-from-env\n");
  expect(readFileSync(released("after"), "utf8")).toBe("2-from-file\n");
  expect(existsSync(released("node_modules/builder"))).toBe(false);
});

const lives = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
};

test("a cancel in the middle of a build ends it, with a child that left its session and hears nothing", async () => {
  const child = `trap "" TERM; echo $$ > "$OUT"; while :; do sleep 1; done`;
  const { dir, repo, root, deploy, log } = deployer((dir) => ({
    build: `setsid sh -c '${child}' & wait`,
    buildEnv: { OUT: join(dir, "pid") },
  }));
  const sha = repo.commit({ "server.js": "" });
  const controller = new AbortController();
  const outcome = deploy(sha, {}, controller.signal);
  const file = join(dir, "pid");
  while (!existsSync(file) || readFileSync(file, "utf8") === "") await sleep(20);
  const pid = Number(readFileSync(file, "utf8"));
  expect(lives(pid)).toBe(true);
  controller.abort("cancel");
  expect(await outcome, log.text()).toMatchObject({ status: "canceled", error: { step: "build" } });
  expect(lives(pid)).toBe(false);
  expect(readdirSync(join(root, "releases"))).toEqual([]);
});

test("a shared folder below a link that leads out is refused before anything is written", async () => {
  const { dir, repo, deploy } = deployer({ shared: ["data/uploads/"] });
  const outside = join(dir, "outside");
  mkdirSync(outside);
  const sha = repo.commit({ "server.js": "", data: { link: outside } });
  expect(await deploy(sha)).toMatchObject({
    status: "failed",
    error: { code: "shared_outside", step: "fetch" },
  });
  expect(readdirSync(outside)).toEqual([]);
});

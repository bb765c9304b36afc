import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deployer } from "../support/deployer.js";
import type { Files } from "../support/repo.js";
import { makeTempDir, removeTempDir } from "../support/temp.js";

/** Packages of an earlier deploy are used again: never wrongly, and never shared. */
let home: string;
beforeAll(() => {
  home = makeTempDir("home");
});
afterAll(() => removeTempDir(home));

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;
/** Needs a development dependency; says how often it has run. */
const build = "node -e \"require('picocolors'); require('fs').writeFileSync('built', 'yes')\"";
const manifest = (more: object = {}) =>
  json({
    name: "app",
    version: "1.0.0",
    private: true,
    scripts: { build },
    dependencies: { ms: "2.1.3" },
    devDependencies: { picocolors: "1.1.1", isexe: "3.1.1" },
    ...more,
  });

/** An app with a lockfile, deployed once. */
function project(files: Files = {}, more: object = {}) {
  const one = deployer(more, home);
  one.repo.commit(
    { "package.json": manifest(), ".gitignore": "node_modules\nbuilt\n", "server.js": "", ...files },
    "begun",
    { push: false },
  );
  const lock = () =>
    execFileSync("npm", ["install", "--package-lock-only", "--ignore-scripts"], {
      cwd: one.repo.work,
      env: { ...one.env, NODE_ENV: "" },
      stdio: "pipe",
    });
  let count = 0;
  return {
    ...one,
    /** Commits, deploys, and tells which of npm's commands ran. */
    async go(changes: Files = {}, status = "succeeded", relock = false) {
      const before = one.log.text().length;
      one.repo.commit({ "server.js": `// ${++count}\n`, ...changes }, "a change", { push: false });
      if (relock || count === 1) lock();
      const outcome = await one.deploy(one.repo.commit({}));
      expect(outcome.status, one.log.text()).toBe(status);
      return one.log
        .text()
        .slice(before)
        .split("\n")
        .map((line) => /\$ npm (\S+(?: \S+)?)/.exec(line)?.[1] ?? "")
        .filter(Boolean)
        .map((line) => line.replace(/ --.*/, ""));
    },
    packages: () =>
      readdirSync(one.released("node_modules"))
        .filter((name) => !name.startsWith("."))
        .sort(),
    kept: () => join(one.root, "cache", "modules"),
    entries: () => readdirSync(join(one.root, "cache", "modules")).filter((name) => !name.startsWith(".")),
  };
}

const all = ["ci", "run build", "prune"];
const again = ["run build"];

test("a deploy that changes nothing about packages installs and prunes nothing", async () => {
  const app = project();
  expect(await app.go()).toEqual(all);
  expect(app.packages()).toEqual(["ms"]);
  const first = app.released("node_modules/ms/index.js");
  for (const _ of [2, 3]) {
    expect(await app.go()).toEqual(again);
    expect(app.packages()).toEqual(["ms"]);
    expect(readFileSync(app.released("built"), "utf8")).toBe("yes");
  }
  // Nothing is shared: what one release does to its packages, no other one sees.
  const file = app.released("node_modules/ms/index.js");
  expect(lstatSync(file).nlink).toBe(1);
  appendFileSync(file, "broken");
  expect(readFileSync(first, "utf8")).not.toContain("broken");
  expect(await app.go()).toEqual(again);
  expect(readFileSync(app.released("node_modules/ms/index.js"), "utf8")).not.toContain("broken");
  // And `npm ls` finds nothing missing, extraneous or invalid.
  execFileSync("npm", ["ls", "--omit=dev"], { cwd: app.released("."), env: app.env, stdio: "pipe" });
});

test("what decides an installation makes it anew: lockfile, manifest, settings, buildEnv", async () => {
  const app = project();
  await app.go();
  const less = { devDependencies: { picocolors: "1.1.1" } };
  expect(await app.go({ "package.json": manifest(less) }, "succeeded", true)).toEqual(all);
  expect(await app.go({ ".npmrc": "fund=false\n" })).toEqual(all);
  expect(await app.go()).toEqual(again);
  app.app.buildEnv = { WITH: "something" };
  expect(await app.go()).toEqual(all);
  app.app.reuse = false;
  expect(await app.go()).toEqual(all);
  expect(app.entries()).toEqual([]);
});

test("packages that were changed where they are kept are not used", async () => {
  const app = project();
  await app.go();
  const [key = ""] = app.entries();
  const inside = (path: string) => join(app.kept(), key, path);
  const spoilers: (() => void)[] = [
    () => appendFileSync(inside("stay/node_modules/ms/index.js"), "broken"),
    () => rmSync(inside("go/node_modules/picocolors/picocolors.js")),
    () => writeFileSync(inside("entry.json"), "{"),
    // As a daemon leaves it that was killed while a build had what it was lent.
    () => renameSync(inside("entry.json"), inside("lent.json")),
  ];
  for (const spoil of spoilers) {
    spoil();
    expect(await app.go(), String(spoil)).toEqual(all);
    expect(app.packages()).toEqual(["ms"]);
    expect(existsSync(app.released("node_modules/ms/more.js"))).toBe(false);
    expect(readFileSync(app.released("node_modules/ms/index.js"), "utf8")).not.toContain("broken");
    expect(await app.go()).toEqual(again);
  }
});

test("a deploy whose build fails gives back what it was lent", async () => {
  const app = project();
  await app.go();
  const broken = manifest({ scripts: { build: "exit 1" } });
  // Scripts that only a person starts do not decide what is installed.
  expect(await app.go({ "package.json": broken }, "failed")).toEqual(again);
  expect(await app.go({ "package.json": broken }, "failed")).toEqual(again);
  expect(await app.go({ "package.json": manifest() })).toEqual(again);
});

test("a build that changes what is installed is pruned by npm itself", async () => {
  const app = project();
  await app.go();
  const changes = `${build} && node -e "require('fs').appendFileSync('node_modules/.package-lock.json', ' ')"`;
  const dirty = manifest({ scripts: { build: changes } });
  expect(await app.go({ "package.json": dirty })).toEqual(["run build", "prune"]);
  expect(app.packages()).toEqual(["ms"]);
  expect(await app.go()).toEqual(all);
  expect(app.packages()).toEqual(["ms"]);
});

test("scripts run again: a dependency's, which are the only thing npm does then, and the project's", async () => {
  const count = "require('fs').appendFileSync('count', process.env.npm_lifecycle_event + ' ')";
  const app = project({
    "package.json": manifest({
      scripts: { build, postinstall: `node -e "${count}"`, prepare: `node -e "${count}"` },
    }),
  });
  expect(await app.go()).toEqual(all);
  expect(readFileSync(app.released("count"), "utf8")).toBe("postinstall prepare ");
  expect(await app.go()).toEqual(["run postinstall", "run prepare", "run build"]);
  expect(readFileSync(app.released("count"), "utf8")).toBe("postinstall prepare ");
});

test("folders of `cache` go from good release to good release, copied", async () => {
  const tool = "const fs = require('fs'); fs.mkdirSync('.tool/cache', { recursive: true });";
  const append = (more = "") =>
    manifest({
      scripts: { build: `node -e "${tool} fs.appendFileSync('.tool/cache/builds', 'x');${more}"` },
      devDependencies: {},
    });
  const app = project({ "package.json": append() }, { cache: [".tool/cache"] });
  const builds = (path = app.released(".tool/cache/builds")) => readFileSync(path, "utf8");
  await app.go();
  expect(builds()).toBe("x");
  const first = app.released(".tool/cache/builds");
  await app.go();
  expect(builds()).toBe("xx");
  expect(builds(first)).toBe("x");
  // What the app itself writes there, and what a failed build has left, nobody gets.
  appendFileSync(app.released(".tool/cache/builds"), "app");
  await app.go({ "package.json": append(" process.exit(1)") }, "failed");
  await app.go({ "package.json": append() });
  expect(builds()).toBe("xxx");
});

test("the same content is not built again, unless something was written into the release since", async () => {
  const app = project();
  const build = async (over: object = {}) => {
    const before = app.log.text().length;
    const outcome = await app.deploy(app.repo.head(), {
      id: `d-${Math.random()}`,
      trigger: "manual",
      ...over,
    });
    expect(outcome.status, app.log.text()).toBe("succeeded");
    app.succeeded.push({ ...app.stored.deploy, status: "succeeded", finishedAt: "" });
    return app.log.text().slice(before);
  };
  await app.go();
  app.succeeded.push({ ...app.stored.deploy, status: "succeeded", finishedAt: "" });
  const first = app.stored.deploy.release ?? "";
  expect(await build()).toContain(`Nothing to build: a copy of ${first}`);
  expect(app.steps()).toMatchObject({ install: "skipped", build: "skipped", rollout: "succeeded" });
  expect(app.packages()).toEqual(["ms"]);
  expect(readFileSync(app.released("built"), "utf8")).toBe("yes");
  expect(existsSync(app.released(".dropless/preload.cjs"))).toBe(true);
  // Of another commit with the same files, too.
  app.repo.commit({});
  expect(await build()).toContain("Nothing to build");
  app.app.buildEnv = { WITH: "something" };
  expect(await build()).toContain("$ npm run build");
  // The kernel's clock for files goes in steps of some milliseconds: until it is later than the build's end.
  const { ctimeMs: builtAt } = statSync(app.released(".dropless/built"));
  do appendFileSync(app.released("built"), " and more");
  while (statSync(app.released("built")).ctimeMs <= builtAt);
  expect(await build()).toContain("but built was written since it was built");
  expect(readFileSync(app.released("built"), "utf8")).toBe("yes");
});

test("what is committed below a node_modules stays as it is committed", async () => {
  const { go, released } = project({ ".gitignore": "/node_modules\nbuilt\n" });
  await go({ "fixtures/node_modules/one.js": "1" });
  await go({ "fixtures/node_modules/one.js": "2" });
  expect(readFileSync(released("fixtures/node_modules/one.js"), "utf8")).toBe("2");
});

test("a program that is a link out of the release is not made executable", async () => {
  const secret = join(home, "a secret");
  writeFileSync(secret, "", { mode: 0o600 });
  const { go } = project({
    "package.json": manifest({ bin: "cli.js" }),
    "cli.js": { link: secret },
  });
  await go();
  chmodSync(secret, 0o600);
  expect(await go()).not.toContain("ci");
  expect(statSync(secret).mode & 0o777).toBe(0o600);
});

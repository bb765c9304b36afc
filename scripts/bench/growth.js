/**
 * How cost grows: with the deploys in the history, the apps in the configuration, an app's instances and its packages.
 * No goals but that the history must not be felt.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appFiles } from "./lib/apps.js";
import { fillHistory } from "./lib/history.js";
import { createHost, freePort } from "./lib/host.js";
import { endOnInterrupt } from "./lib/interrupt.js";
import { sample as spread } from "./lib/report.js";

const sizes = {
  history: [10, 1000, 10_000, 100_000],
  apps: [1, 10, 50, 200],
  instances: [1, 2, 4, 8, 16],
  packages: [10, 100, 500, 2000],
};
const tinySizes = { history: [60, 300], apps: [], instances: [1], packages: [5] };

const median = (figures) => spread(figures).median;
const ms = (figure) => (figure < 10 ? figure.toFixed(1) : Math.round(figure).toLocaleString("en"));

async function timed(work) {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

async function often(times, work) {
  const figures = [];
  for (let n = 0; n < times; n++) figures.push(await timed(work));
  return figures;
}

const table = (title, head, lines) =>
  [
    `**${title}**`,
    "",
    `| ${head.join(" | ")} |`,
    `|${head.map(() => "---").join("|")}|`,
    ...lines.map((line) => `| ${line.join(" | ")} |`),
  ].join("\n");

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** A daemon on a filled data folder: what it takes to start, and to answer. */
async function measureStore({ runs, count, apps }) {
  const names = Array.from({ length: apps }, (_, n) => `app${n}`);
  const host = await createHost();
  try {
    // PM2 runs, and runs nothing: as many deploys as you like have no instance of their own.
    await host.pm2.cli("ping");
    for (const [n, name] of names.entries()) {
      const root = join(host.dir, "apps", name);
      // Nothing ever listens there.
      host.configure(name, { repository: join(host.dir, `acme/${name}.git`), root, port: 1100 + n });
    }
    const { last, live } = await fillHistory(join(host.dir, "data"), { count, apps: names });
    for (const [name, releases] of Object.entries(live))
      for (const release of releases)
        mkdirSync(join(host.dir, "apps", name, "releases", release), { recursive: true });
    const starts = [];
    for (let run = 0; run < runs; run++) {
      if (run > 0) await host.stop();
      starts.push(await timed(() => host.start()));
    }
    const line = { count, apps, starts };
    for (const [key, path] of [
      ["list", "/deploys?limit=50"],
      ["ofApp", "/deploys?app=app0&limit=50"],
      ["failed", "/deploys?status=failed&limit=50"],
      ["status", `/deploys/${last}`],
      ["app", "/apps/app0"],
      ["allApps", "/apps"],
    ]) {
      await host.get(path);
      line[key] = await often(Math.max(5, runs * 4), () => host.get(path));
    }
    line.memory = rss(host.pid());
    return line;
  } finally {
    await host.end();
  }
}

/** Deploys of a plain app without packages or a build, by its number of instances. */
async function measureInstances({ runs, instances, log }) {
  const host = await createHost();
  try {
    const health = { path: "/", soak: "0s", watch: "0s" };
    const { repo, port } = await host.addApp("api", { health, pm2: { script: "server.js", instances } });
    await host.start();
    const figures = [];
    for (let run = 0; run <= runs; run++) {
      const release = `r${run}`;
      const sha = repo.commit(appFiles({ kind: "http", release, port }), release);
      const deploy = await host.deploy(repo.fullName, sha);
      if (deploy.status !== "succeeded") throw new Error(`${instances} instances: ${deploy.error?.message}`);
      const rollout = deploy.steps.find(({ name }) => name === "rollout").durationMs;
      if (run > 0)
        figures.push({ all: Date.parse(deploy.finishedAt) - Date.parse(deploy.createdAt), rollout });
    }
    log(`${instances} instances: ${ms(median(figures.map(({ all }) => all)))} ms`);
    return { instances, all: figures.map(({ all }) => all), rollout: figures.map(({ rollout }) => rollout) };
  } finally {
    await host.end();
  }
}

/**
 * Packages of 15 files, 10 kB each, that a server of our own gives out: the names differ, the content is the same, so
 * that thousands cost the registry nothing and are unpacked all the same.
 */
async function servePackages() {
  const dir = mkdtempSync(join(tmpdir(), "dropless-packages-"));
  const content = join(dir, "package");
  mkdirSync(content);
  const forget = endOnInterrupt(() => rmSync(dir, { recursive: true, force: true }));
  execFileSync("/bin/sh", [
    "-c",
    `for n in $(seq 15); do head -c 7500 /dev/urandom | base64 -w 76 | sed 's,^,// ,' >"$0/f$n.js"; done`,
    content,
  ]);
  cpSync(join(import.meta.dirname, "lib/apps.js"), join(content, "index.js"));
  execFileSync(
    "/bin/sh",
    ["-c", `printf '{"name":"p","version":"1.0.0"}' >package/package.json && tar czf p.tgz package`],
    { cwd: dir },
  );
  const tarball = readFileSync(join(dir, "p.tgz"));
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  const server = createServer((_request, response) => response.end(tarball));
  const port = await freePort();
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    cache: join(dir, "cache"),
    files(count) {
      const names = Array.from({ length: count }, (_, n) => `p${n}`);
      const dependencies = Object.fromEntries(names.map((name) => [name, "1.0.0"]));
      const scripts = { build: "true" };
      const root = { name: "app", version: "1.0.0", dependencies };
      const resolved = (name) => `http://127.0.0.1:${port}/${name}/-/${name}-1.0.0.tgz`;
      const packages = Object.fromEntries(
        names.map((name) => [
          `node_modules/${name}`,
          { version: "1.0.0", resolved: resolved(name), integrity },
        ]),
      );
      return {
        "package.json": JSON.stringify({ ...root, type: "module", scripts }),
        "package-lock.json": JSON.stringify({
          name: "app",
          version: "1.0.0",
          lockfileVersion: 3,
          requires: true,
          packages: { "": root, ...packages },
        }),
      };
    },
    end() {
      forget();
      server.close();
      server.closeAllConnections();
      rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    },
  };
}

/** Deploys whose code has changed and whose lockfile has not, by the number of packages. */
async function measurePackages({ runs, packages, served, log }) {
  const host = await createHost();
  try {
    const health = { path: "/", soak: "0s", watch: "0s" };
    const buildEnv = { npm_config_cache: served.cache };
    const { repo, port } = await host.addApp("api", { health, buildEnv }, { installs: true });
    await host.start();
    const figures = [];
    for (let run = 0; run <= runs; run++) {
      const release = `r${run}`;
      const files = { ...appFiles({ kind: "http", release, port }), ...served.files(packages) };
      const deploy = await host.deploy(repo.fullName, repo.commit(files, release), 600_000);
      if (deploy.status !== "succeeded") throw new Error(`${packages} packages: ${deploy.error?.message}`);
      const of = (step) => deploy.steps.find(({ name }) => name === step).durationMs ?? 0;
      figures.push({
        all: Date.parse(deploy.finishedAt) - Date.parse(deploy.createdAt),
        install: of("install"),
        prune: of("prune"),
      });
    }
    const [first, ...rest] = figures;
    log(`${packages} packages: first ${ms(first.all)} ms, then ${ms(median(rest.map(({ all }) => all)))} ms`);
    return { packages, first, rest };
  } finally {
    await host.end();
  }
}

async function run({ runs, tiny, log }) {
  const size = tiny ? tinySizes : sizes;
  const stores = [];
  for (const [count, apps] of [
    ...size.history.map((count) => [count, 1]),
    ...size.apps.map((apps) => [10_000, apps]).map(([count, apps]) => [tiny ? 100 : count, apps]),
  ]) {
    const line = await measureStore({ runs, count, apps });
    stores.push(line);
    log(
      `${count} deploys, ${apps} apps: ready after ${ms(median(line.starts))} ms, list ${ms(median(line.list))} ms, apps ${ms(median(line.allApps))} ms`,
    );
  }
  const instances = [];
  for (const count of tiny ? [] : size.instances)
    instances.push(await measureInstances({ runs, instances: count, log }));
  const packages = [];
  if (!tiny) {
    const served = await servePackages();
    try {
      for (const count of size.packages)
        packages.push(await measurePackages({ runs: Math.min(runs, 3), packages: count, served, log }));
    } finally {
      served.end();
    }
  }

  // A list of 50 needs as many.
  const [small, large] = [stores.find(({ count }) => count >= 50), stores[size.history.length - 1]];
  const noMore = (what, ours, theirs) => ({
    what: `${what}: ${large.count.toLocaleString("en")} deploys in the history over ${small.count.toLocaleString("en")}`,
    unit: "ms",
    ours,
    theirs,
    against: `with ${small.count.toLocaleString("en")}`,
    goal: { of: "ratio", most: 1.5 },
    note: "a goal of our own: it must not be felt",
  });
  const storeHead = [
    "deploys",
    "apps",
    "start to ready",
    "list",
    "of one app",
    "failed ones",
    "one deploy",
    "one app",
    "all apps",
    "memory",
  ];
  const storeLine = (line) => [
    line.count.toLocaleString("en"),
    line.apps,
    ...[line.starts, line.list, line.ofApp, line.failed, line.status, line.app, line.allApps].map(
      (figures) => `${ms(median(figures))} ms`,
    ),
    `${Math.round(line.memory)} MB`,
  ];
  return {
    rows: [
      noMore("start to ready", large.starts, small.starts),
      noMore("list of 50 deploys", large.list, small.list),
      noMore("one deploy", large.status, small.status),
      noMore("one app", large.app, small.app),
    ],
    tables: [
      table(
        "History and apps (medians; every app has its share of the deploys)",
        storeHead,
        stores.map(storeLine),
      ),
      ...(instances.length > 0
        ? [
            table(
              "Instances: a deploy with nothing to install or build (median)",
              ["instances", "deploy", "of it rollout"],
              instances.map(({ instances, all, rollout }) => [
                instances,
                `${ms(median(all))} ms`,
                `${ms(median(rollout))} ms`,
              ]),
            ),
            table(
              "Packages: 15 files of 10 kB each; the first deploy, and those after it whose lockfile has not changed (median of 3)",
              ["packages", "first deploy", "of it install", "the next", "of it install", "of it prune"],
              packages.map(({ packages, first, rest }) => [
                packages.toLocaleString("en"),
                ...[
                  first.all,
                  first.install,
                  ...["all", "install", "prune"].map((key) => median(rest.map((one) => one[key]))),
                ].map((figure) => `${ms(figure)} ms`),
              ]),
            ),
          ]
        : []),
    ],
    facts: { stores, instances, packages },
  };
}

export const bench = {
  name: "growth",
  about: "what more deploys in the history, apps, instances and packages cost",
  run,
};

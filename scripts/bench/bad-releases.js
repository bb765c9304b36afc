/**
 * Promise 2 in figures: each kind of bad release is pushed under load. Prints what the deploy said and what the users
 * of the load saw, and that a good release still gets through afterwards.
 *
 *   npm run build && node scripts/bench/bad-releases.js [--kinds crash-at-boot,…] [--clients 24] [--json FILE]
 *
 * Exits with 1 when a request failed (but for the kind that is healthy alone and broken beside the old release:
 * its answers are counted), when a bad release passed, when an old instance was touched, or when the good one failed.
 */
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { appFiles, badKinds } from "./lib/apps.js";
import { createHost, freePort } from "./lib/host.js";
import { startLoad } from "./lib/load.js";

const packageJson = (more) => JSON.stringify({ name: "app", version: "1.0.0", type: "module", ...more });

/** Broken before anything boots: the files that make it so, beside those of a good app. */
const unbuilt = {
  "build-fails": {
    "package.json": packageJson({ scripts: { build: "echo the types are wrong >&2; exit 3" } }),
  },
  "install-fails": {
    "package.json": packageJson({ dependencies: { local: "file:./local" } }),
    "local/package.json": JSON.stringify({ name: "local", version: "1.0.0" }),
    "package-lock.json": JSON.stringify({
      name: "app",
      version: "1.0.0",
      lockfileVersion: 3,
      requires: true,
      packages: { "": { name: "app", version: "1.0.0" } },
    }),
  },
  "migration-fails": { "migration-fails": "" },
};

const { values } = parseArgs({
  options: {
    kinds: { type: "string", default: [...badKinds, ...Object.keys(unbuilt)].join() },
    clients: { type: "string", default: "24" },
    json: { type: "string" },
  },
});

const host = await createHost();
const rows = [];
try {
  const elsewhere = await freePort();
  const { repo, port } = await host.addApp("api", {
    migrate: "test ! -e migration-fails",
    health: { path: "/", ready: "5s", soak: "4s", watch: "3s" },
  });
  await host.start();
  const instances = async () =>
    JSON.stringify(
      (await host.pm2.list()).map(({ pid, pm2_env }) => [pid, pm2_env.status, pm2_env.restart_time]),
    );
  const files = (kind, release) =>
    kind in unbuilt
      ? { ...appFiles({ kind: "http-close", release, port }), ...unbuilt[kind] }
      : appFiles({ kind, release, port, elsewhere });

  /** Pushed under load; `kind` may be a good one. */
  const push = async (kind, release) => {
    const before = await instances();
    const load = await startLoad({ port, clients: Number(values.clients) });
    try {
      await sleep(1000);
      const deploy = await host.deploy(repo.fullName, repo.commit(files(kind, release), release));
      await sleep(1000);
      const { total, failed, failures, releases, maxGapMs } = await load.stop();
      const { status, error } = deploy;
      const untouched = (await instances()) === before;
      return { kind, status, error, total, failed, failures, releases, maxGapMs, untouched };
    } finally {
      await load.abort();
    }
  };

  const first = await host.deploy(repo.fullName, repo.commit(files("http-close", "first"), "first"));
  if (first.status !== "succeeded") throw new Error(`the first deploy: ${JSON.stringify(first.error)}`);
  for (const kind of values.kinds.split(",")) {
    const row = await push(kind, kind);
    rows.push(row);
    process.stderr.write(`${kind}: ${row.status}, ${row.failed} of ${row.total} failed\n`);
  }
  rows.push(await push("http-close", "good-again"));
} finally {
  await host.end();
}

const passes = (row) =>
  row.kind === "http-close"
    ? row.status === "succeeded" && row.failed === 0
    : row.status !== "succeeded" && row.untouched && (row.failed === 0 || row.kind === "broken-beside-old");

if (values.json) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
console.log(
  "| release | status | step | error and hint | failed / requests | old instances |\n|---|---|---|---|---|---|",
);
for (const row of rows) {
  const { kind, status, error, failed, total, untouched } = row;
  const name = kind === "http-close" ? "a good one, after all of them" : kind;
  const said = error ? `${error.message}. *${error.hint}*` : "–";
  const instances = untouched ? "untouched" : error ? "TOUCHED" : "replaced";
  console.log(
    `| ${name} | ${status} | ${error?.step ?? "–"} | ${said} | ${failed} / ${total.toLocaleString("en")} | ${instances} |`,
  );
}
const bad = rows.filter((row) => !passes(row)).map(({ kind }) => kind);
if (bad.length > 0) console.log(`\nNot as promised: ${bad.join(", ")}`);
process.exitCode = bad.length > 0 ? 1 : 0;

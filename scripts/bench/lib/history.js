/** A data folder as months of deploys leave it. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const dist = (path) => import(fileURLToPath(new URL(`../../../dist/${path}`, import.meta.url)));
const sha1 = (text) => createHash("sha1").update(text).digest("hex");
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** As many logs as the daemon keeps. */
const logsKept = 1000;

const took = {
  fetch: 400,
  install: 2000,
  build: 3000,
  preflight: 1500,
  rollout: 2500,
  activate: 10,
  watch: 10_000,
  prune: 40,
};

/** `count` ended deploys, one in ten superseded and one in twenty failed, the newest now, `apps` in turn. Gives each app's last five releases. */
export async function fillHistory(dataDir, { count, apps }) {
  const { openStore } = await dist("adapters/sqlite/store.js");
  const { openDatabase } = await dist("adapters/sqlite/driver.js");
  const { createIds } = await dist("domain/ids.js");
  const began = Date.now() - count * 60_000;
  let clock = began;
  const ids = createIds(() => clock);
  const store = openStore(dataDir);
  const logs = join(dataDir, "logs");
  mkdirSync(logs, { recursive: true });
  const live = {};
  let last;
  store.transaction(() => {
    for (let n = 0; n < count; n++) {
      clock = began + n * 60_000;
      const [id, app, sha] = [ids(), apps[n % apps.length], sha1(`${n}`)];
      const time = new Date(clock).toISOString();
      const status = n % 10 === 3 ? "superseded" : n % 20 === 7 ? "failed" : "succeeded";
      const release = `${time.slice(0, 19).replace(/[-:]/g, "")}-${sha.slice(0, 7)}`;
      const deploy = {
        id,
        app,
        status,
        trigger: "push",
        ref: "refs/heads/main",
        commit: { sha, message: `change ${n}: what was changed and why, in a line`, author: "Ada Example" },
        standsFor: [sha],
        createdAt: time,
        attempt: 1,
        startedAt: time,
        steps: Object.entries(took).map(([name, durationMs]) => ({
          name,
          status: "succeeded",
          startedAt: time,
          durationMs,
        })),
        release,
        finishedAt: time,
        receipt: { probes: 250, failed: 0, maxGapMs: 60 },
        ...(status === "failed" && {
          error: {
            code: "build_failed",
            message: "`npm run build` ended with exit code 2",
            hint: "Look.",
            step: "build",
          },
        }),
      };
      store.add(deploy, { tokenSha256: sha256(id), delivery: { id: sha1(id), bodySha256: sha256(sha) } });
      if (status === "succeeded") {
        live[app] = [...(live[app] ?? []), release].slice(-5);
      }
      if (n >= count - logsKept)
        writeFileSync(join(logs, `${id}.ndjson`), `${JSON.stringify({ line: 1, text: "x" })}\n`);
      last = id;
    }
  });
  // Months leave no delivery that is not indexed.
  const db = openDatabase(join(dataDir, "dropless.db"));
  const behind = db.prepare("SELECT upto < (SELECT max(seq) FROM deploys) AS it FROM indexed");
  while (behind.get().it) await sleep(50);
  db.close();
  store.close();
  return { last, live };
}

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goodKinds, linkModules, writeApp } from "../support/apps.js";
import { type Load, startLoad } from "../support/load.js";
import { createPrivatePm2, type PrivatePm2 } from "../support/pm2.js";
import { freePort } from "../support/temp.js";

const preload = fileURLToPath(new URL("../../dist/drain/preload.cjs", import.meta.url));
let pm2: PrivatePm2 | undefined;
let load: Load | undefined;

beforeAll(() => {
  // Both instances at once: it is about the connections, not about PM2's patience.
  pm2 = createPrivatePm2({ env: { PM2_CONCURRENT_ACTIONS: "2" } });
  linkModules(pm2.dir);
});
afterAll(async () => {
  await load?.abort();
  await pm2?.end();
});

/** Two of them are told by message, as with PM2's `shutdown_with_message`. */
const byMessage = ["http", "hono"];

it.each(goodKinds)("pm2 reload of %s under load drops nothing and kills nobody", async (kind) => {
  if (!pm2) throw new Error("no PM2");
  const port = await freePort();
  const script = writeApp(join(pm2.dir, kind), { kind, release: "r1", port });
  const file = join(pm2.dir, `${kind}.json`);
  const app = {
    name: kind,
    script,
    exec_mode: "cluster",
    instances: 2,
    listen_timeout: 60_000,
    node_args: ["--require", preload],
    kill_timeout: 25_000,
    treekill: false,
    shutdown_with_message: byMessage.includes(kind),
    env: { DROPLESS_PORT: String(port), DROPLESS_DRAIN_TIMEOUT: "20000" },
  };
  writeFileSync(file, JSON.stringify({ apps: [app] }));
  await pm2.cli("start", file);
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } }).then(() => true);
  await expect.poll(() => answers().catch(() => false), { timeout: 60_000 }).toBe(true);
  load = await startLoad({ port, clients: 16 });
  await expect.poll(async () => (await load?.snapshot())?.total, { timeout: 60_000 }).toBeGreaterThan(30);
  const before = await pm2.list();
  await pm2.cli("reload", kind);
  const after = await pm2.list();
  const result = await load.stop();
  load = undefined;
  await pm2.cli("delete", kind);

  expect(result).toMatchObject({ failed: 0, failures: [] });
  const pids = (list: typeof before) => list.filter(({ name }) => name === kind).map(({ pid }) => pid);
  expect(pids(after)).toHaveLength(2);
  expect(pids(after).filter((pid) => pids(before).includes(pid))).toEqual([]);
  const killed = readFileSync(join(pm2.home, "pm2.log"), "utf8").match(/.*SIGKILL.*/g);
  expect(killed).toBeNull();
});

/**
 * The daemon at rest: how long a start takes until it is ready, what it holds, and how often it wakes up while nobody
 * wants anything. `npm run bench -- rest` (scripts/bench/run.js).
 *
 * Figures are those of the Node that runs it. Resident memory includes what of Node's own file is mapped, which the
 * apps' processes share. Wake-ups are the voluntary context switches of all its threads; the process that talks to PM2
 * is beside it only while it is needed and for a minute after.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createHost } from "../soak/lib/host.js";

const switches = (pid) =>
  readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, "utf8"))
    .reduce((sum, status) => sum + Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]), 0);

async function run({ runs, tiny, log }) {
  const quietMs = tiny ? 500 : 60_000;
  const host = await createHost(["api"]);
  const ready = [];
  const memory = [];
  const rested = [];
  const wakeUps = [];
  try {
    // The first start makes the store and fills the caches.
    for (let n = 0; n <= runs; n++) {
      const began = performance.now();
      await host.start({ quiet: true });
      if (n > 0) ready.push(Math.round(performance.now() - began));
      await sleep(tiny ? 100 : 3000);
      if (n > 0) memory.push(host.rssMb());
      if (n === runs) {
        // V8 tidies up some times after it has worked; then it sleeps too.
        await sleep(tiny ? 0 : 30_000);
        rested.push(host.rssMb());
        const before = switches(host.pid());
        await sleep(quietMs);
        wakeUps.push(switches(host.pid()) - before);
      }
      await host.stop();
      log(`start ${n}: ${n === 0 ? "not counted" : `${ready.at(-1)} ms, ${memory.at(-1)} MB`}`);
    }
  } finally {
    await host.end();
  }
  return {
    rows: [
      {
        what: "from its start until /readyz answers",
        unit: "ms",
        ours: ready,
        goal: { of: "ours", most: 500 },
      },
      { what: "resident memory, 3 s after it", unit: "MB", ours: memory, goal: { of: "ours", most: 90 } },
      { what: "resident memory, 33 s after it", unit: "MB", ours: rested, goal: { of: "ours", most: 90 } },
      { what: `wake-ups in ${quietMs / 1000} s`, unit: "", ours: wakeUps, goal: { of: "ours", most: 0 } },
    ],
  };
}

export const bench = { name: "rest", about: "the daemon's start, and the daemon at rest", run };

/**
 * Looks at a host from outside, when nothing is under way, and says what is not as promised: exactly the configured
 * instances of exactly one release, numbered 0 to n-1, and nothing half-built or left over.
 */
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { processes, read } from "../../lib/processes.js";

/** Processes that belong to this host and are neither the daemon, nor PM2, nor one of the wanted instances. */
function strangers(host, instancePids) {
  const all = processes();
  const below = (pid, root) => pid === root || (all.has(pid) && below(all.get(pid), root));
  const known = new Set([host.pm2.godPid(), ...instancePids]);
  return [...all.keys()]
    .filter((pid) => pid !== process.pid && !known.has(pid) && !(host.isUp() && below(pid, host.pid())))
    .filter((pid) => {
      const environment = read(`/proc/${pid}/environ`);
      return environment.includes(host.dir) || environment.includes(`PM2_HOME=${host.pm2.home}`);
    })
    .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").slice(0, 120)}`);
}

/**
 * `wanted`: for each app its number of instances. Gives what is wrong, and the live release of each app.
 * `settled`: the last deploy of that app succeeded, so that its prune has run.
 */
export async function inspect(host, wanted, { settled = [] } = {}) {
  const faults = [];
  const live = {};
  const running = await host.pm2.list();
  for (const [name, count] of Object.entries(wanted)) {
    const root = join(host.dir, "srv", name);
    const current = basename(readlinkSync(join(root, "current")));
    live[name] = current;
    const mine = running.filter((one) => one.name === name);
    const numbers = mine.map(({ pm2_env }) => Number(pm2_env.NODE_APP_INSTANCE)).sort();
    const seen = mine
      .map(
        ({ pm2_env }) => `${pm2_env.status} ${basename(join(pm2_env.pm_cwd))} ${pm2_env.NODE_APP_INSTANCE}`,
      )
      .join(", ");
    if (
      mine.length !== count ||
      numbers.some((number, at) => number !== at) ||
      mine.some(({ pm2_env }) => pm2_env.status !== "online" || !pm2_env.pm_cwd.includes(current))
    )
      faults.push(`${name}: wanted ${count} instances of ${current}, there are: ${seen}`);
    const { body } = await host.get(`/apps/${name}`);
    if (body.live?.release !== current)
      faults.push(`${name}: the store has ${JSON.stringify(body.live)} as live, current is ${current}`);
    const releases = join(root, "releases");
    if (!settled.includes(name)) continue;
    // What was thrown away is removed after the deploy.
    const trash = () => readdirSync(releases).some((release) => release.startsWith("."));
    for (const until = Date.now() + 10_000; trash() && Date.now() < until; ) await sleep(50);
    for (const release of readdirSync(releases))
      if (!existsSync(join(releases, release, ".dropless", "built")))
        faults.push(`${name}: ${release} is left half-built`);
  }
  if (running.length !== Object.values(wanted).reduce((sum, count) => sum + count, 0))
    faults.push(`PM2 runs ${running.length} processes`);
  // What was told to end is given the time for it.
  let left = [];
  for (const until = Date.now() + 10_000; Date.now() < until; await sleep(100)) {
    left = strangers(
      host,
      running.map(({ pid }) => pid),
    );
    if (left.length === 0) break;
  }
  if (left.length > 0) faults.push(`left over: ${left.join("; ")}`);
  return { faults, live };
}

/** A repeatable source of chance: mulberry32. */
export function chance(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    below: (count) => Math.floor(next() * count),
    pick: (list) => list[Math.floor(next() * list.length)],
    shuffled(list) {
      const rest = [...list];
      for (let at = rest.length - 1; at > 0; at--) {
        const other = Math.floor(next() * (at + 1));
        [rest[at], rest[other]] = [rest[other], rest[at]];
      }
      return rest;
    },
  };
}

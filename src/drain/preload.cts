/**
 * Runs inside users' apps, before their first line (`node --require`), and must never break one. It lets an
 * instance finish what it has before it goes, tells the daemon what cannot be seen from outside, and makes a
 * preflight possible beside the serving instances. Node >= 18, no dependencies. Each release carries a copy of
 * this folder (the built `*.cjs`), since an app outlives upgrades of dropless.
 *
 * Environment (durations in milliseconds):
 *   DROPLESS_PORT            the app's `port`; without it nothing is reported or moved
 *   DROPLESS_DRAIN           `off`: reports only, the app drains by itself
 *   DROPLESS_DRAIN_TIMEOUT   hard limit of a drain, below PM2's kill_timeout; 20000
 *   DROPLESS_DRAIN_IDLE      silence after which a kept connection is ended; 5000, as Node's keepAliveTimeout
 *   DROPLESS_PREFLIGHT       `1`: listening on DROPLESS_PORT moves to 127.0.0.1:DROPLESS_PREFLIGHT_PORT
 *   DROPLESS_STANDBY         a file: while it is there, listening on DROPLESS_PORT waits
 *   DROPLESS_PROBE_KEY       what the daemon's own requests carry in the header `x-dropless-probe`
 *   DROPLESS_PRELOADED       set by this file: the pid, by which the app's own child processes know theirs
 *
 * Messages over IPC; PM2's bus has them as event `type` with `data`, and `process.pm_id`:
 *   dropless:listening            {port, actual, joined?, pid} `port` is DROPLESS_PORT, `actual` the socket's;
 *     `joined` is its address when that is the running instances' and not the one the app asked for (everywhere.cts)
 *   dropless:listening-elsewhere  {port | path, actual?, pid}  any other server of the app; in preflight
 *     `actual` differs from `port` when the serving instances hold it (EADDRINUSE): it is moved aside
 *   dropless:standing-by          {port, pid}                  it would listen now, and waits
 *   dropless:answered             {status, path, probe, pid}   a response on DROPLESS_PORT is out: `probe` is true
 *     for the daemon's own requests, each of which is told; of the others the first 20, and for five minutes
 *     those from 500 on, at most ten a second
 *   dropless:draining             {sockets, pid}
 *   dropless:drained              {sockets, ms, pid}           `sockets` are left over at the limit
 */
import threads = require("node:worker_threads");
import lastResponse = require("./last-response.cjs");
import ports = require("./ports.cjs");
import stop = require("./stop.cjs");
import traffic = require("./traffic.cjs");

import type { Instance } from "./types.cjs";

function environment(): Instance["env"] {
  try {
    if (process.env.pm2_env) return { ...process.env, ...JSON.parse(process.env.pm2_env) };
  } catch {}
  return process.env;
}

function createInstance(): Instance {
  const env = environment();
  // A marker that was inherited through PM2's environment is not of the parent process.
  const isChild = process.env.DROPLESS_PRELOADED === String(process.ppid);
  process.env.DROPLESS_PRELOADED = String(process.pid);
  const appPort = Number(env.DROPLESS_PORT) || 0;
  return {
    env,
    appPort,
    preflightPort: env.DROPLESS_PREFLIGHT === "1" ? Number(env.DROPLESS_PREFLIGHT_PORT) || 0 : 0,
    isChild,
    appServers: new WeakSet(),
    phase: "serving",
    report(type, data) {
      if (isChild || !appPort || !process.connected || !process.send) return;
      // The callback: without one, a failure would become an `error` event of the app's process.
      process.send({ type, data: { ...data, pid: process.pid } }, undefined, undefined, () => {});
    },
    quietly(work) {
      try {
        work();
      } catch {}
    },
  };
}

function preload(): void {
  const instance = createInstance();
  const { seen, observe } = traffic.createTraffic(instance);
  const observers = [ports.observePorts(instance), observe];
  if (instance.env.DROPLESS_DRAIN !== "off" && !instance.isChild) {
    lastResponse.markLastResponses(instance, seen);
    observers.push(stop.drainOnStop(instance, seen));
  }
  traffic.observeServers(instance, observers);
}

if (threads.isMainThread) {
  try {
    preload();
  } catch {}
}

/**
 * The stop signal: drained first, and only then given to the app's own handlers. What was measured about each
 * rule of the drain is in docs/MEASUREMENTS.md.
 */
import nodeCluster = require("node:cluster");
import http = require("node:http");
import net = require("node:net");

import type { Cluster } from "node:cluster";
import type { Args, Instance, Observer, Server, Traffic } from "./types.cjs";

const signals = ["SIGINT", "SIGTERM"];
const isStop = (type: unknown, message: unknown): boolean =>
  signals.includes(type as string) || (type === "message" && message === "shutdown");

const tickMs = 50;
/**
 * Connections the cluster's primary hands over still come in a moment after the listening has ended. Leaving before
 * they are taken would leave their clients hanging. Counted in turns of the loop, not by the clock, so that a machine
 * short of time has as many of them.
 */
const quietTicks = 6;

function createDrain(instance: Instance, traffic: Traffic) {
  const { servers, sessions, connections } = traffic;
  const limitMs = Number(instance.env.DROPLESS_DRAIN_TIMEOUT) || 20_000;
  const idleMs = Number(instance.env.DROPLESS_DRAIN_IDLE) || 5000;
  let quiet = 0;
  /** The app has not closed them itself, and is not to hear of a `close` before it did. */
  const stopped = new WeakSet<net.Server>();

  /** Only the handle: http's `close` also ends idle connections, which races with requests on the wire. */
  const stopAccepting = (server: Server): void => {
    if (!server._handle) return;
    stopped.add(server);
    server._handle.close();
    server._handle = null;
  };

  const close = net.Server.prototype.close;
  net.Server.prototype.close = function (this: net.Server, callback?: (error?: Error) => void) {
    if (!stopped.delete(this)) return close.call(this, callback);
    // It was running as far as the app knows.
    if (typeof callback === "function") this.once("close", () => callback());
    return close.call(this);
  };
  const closeIdle = http.Server.prototype.closeIdleConnections;
  http.Server.prototype.closeIdleConnections = function (this: http.Server) {
    if (instance.phase !== "draining") closeIdle?.call(this);
  };

  const endSilent = (now: number): void => {
    for (const [socket, connection] of connections) {
      const bytes = socket.bytesRead + socket.bytesWritten;
      if (connection.busy > 0 || connection.pinned || bytes !== connection.bytes) connection.at = now;
      connection.bytes = bytes;
      if (now - connection.at < idleMs) continue;
      if (connection.endedAt === 0) {
        connection.endedAt = now;
        socket.end();
      } else if (now - connection.endedAt > 1000) socket.destroy();
    }
  };

  /** Asks again and again, since what it waits for has no event of its own; `done` is called once. */
  const drain = (done: () => void): void => {
    const begun = performance.now();
    instance.quietly(() => {
      for (const server of servers) instance.quietly(() => stopAccepting(server));
      for (const session of sessions) session.close();
      for (const [socket, connection] of connections)
        connection.bytes = socket.bytesRead + socket.bytesWritten;
      instance.report("dropless:draining", { sockets: connections.size });
    });
    const timer = setInterval(() => {
      const ms = Math.round(performance.now() - begun);
      // Once what has arrived is read: a busy app's timers run before that.
      setImmediate(() => instance.quietly(() => endSilent(performance.now())));
      quiet = connections.size > 0 ? 0 : quiet + 1;
      if (ms < limitMs && quiet < quietTicks) return;
      clearInterval(timer);
      instance.quietly(() => instance.report("dropless:drained", { sockets: connections.size, ms }));
      if (connections.size === 0) return done();
      for (const socket of connections.keys()) instance.quietly(() => socket.end());
      setTimeout(() => {
        for (const socket of connections.keys()) instance.quietly(() => socket.destroy());
        done();
      }, 200);
    }, tickMs);
  };

  const observe: Observer = (server, type) => {
    if (type === "listening" && instance.phase === "draining") stopAccepting(server);
    if (type === "connection") quiet = 0;
    return type === "close" && stopped.has(server);
  };
  return {
    drain,
    observe,
    /** Word from the primary: it may not have heard yet that nothing more is accepted here. */
    onPrimary() {
      quiet = 0;
    },
  };
}

/** Tells PM2's own listeners from the app's: by who calls `process.on`. */
const isCalledByPm2 = (): boolean => {
  const frames = (new Error().stack ?? "").split("\n").slice(1);
  const caller = frames.find((frame) => !frame.includes("node:") && !frame.includes(__dirname));
  return /[\\/](?:pm2[\\/](?:lib|modules|node_modules)|@pm2[\\/]io)[\\/]/.test(caller ?? "");
};

function drainOnStop(instance: Instance, traffic: Traffic): Observer {
  const { drain, observe, onPrimary } = createDrain(instance, traffic);
  const emit = process.emit as (this: NodeJS.Process, ...args: Args) => boolean;
  // Node's own are there before the app: one hands each message on to `cluster.worker`.
  const notTheApps = new WeakSet<object>(process.listeners("message"));
  /** Without a listener the signal would end the process at once. */
  const listenOnly = (): void => {};
  notTheApps.add(listenOnly);

  const handOver = (args: Args): void => {
    instance.phase = "drained";
    for (const signal of signals) process.off(signal, listenOnly);
    const type = args[0] as "message";
    const { worker } = nodeCluster as unknown as Cluster;
    const isHandled =
      process.listeners(type).some((listener) => !notTheApps.has(listener)) ||
      (type === "message" && (worker?.listenerCount("message") ?? 0) > 0);
    Reflect.apply(emit, process, args);
    if (isHandled) return;
    if (type === "message") process.exit(0);
    // As it would have gone without the preload.
    process.kill(process.pid, type);
    setTimeout(() => process.exit(0), 1000);
  };

  process.emit = function (this: NodeJS.Process, ...args: Args) {
    if (args[0] === "internalMessage") onPrimary();
    if (instance.phase === "drained" || !isStop(args[0], args[1])) return Reflect.apply(emit, this, args);
    if (instance.phase === "serving") {
      instance.phase = "draining";
      if (traffic.servers.size === 0) setImmediate(handOver, args);
      else drain(() => handOver(args));
    }
    return true;
  } as typeof process.emit;

  process.on("newListener", (type, listener) => {
    instance.quietly(() => {
      if (type === "message" && isCalledByPm2()) notTheApps.add(listener);
    });
  });
  process.on("removeListener", (type, listener) => {
    if (listener === listenOnly && instance.phase !== "drained")
      setImmediate(() => process.on(type, listenOnly));
  });
  for (const signal of signals) process.on(signal, listenOnly);
  // A message is not read before somebody listens.
  if (String(instance.env.shutdown_with_message) === "true") process.on("message", listenOnly);
  return observe;
}

export = { drainOnStop };

/**
 * Instances of a cluster share a port where they name the address alike, and "every address" has three names: none,
 * `::` and `0.0.0.0`. The kernel does not give the port to two of them at once, so a release that writes another one than
 * the running release takes that one's place under its name, until all of them have ended.
 */
import nodeCluster = require("node:cluster");

import type { Cluster } from "node:cluster";
import type { Server as NetServer } from "node:net";
import type { Args, Instance } from "./types.cjs";

const names = [undefined, "::", "0.0.0.0"];

interface Attempt {
  left: (string | undefined)[];
  error: Error;
}

/** The options as Node would read them; undefined where it is not every address, or not shared. */
function optionsOf(args: Args): { host?: string } | undefined {
  const [first, second, third] = args;
  const options = (
    typeof first === "object" && first !== null
      ? first
      : {
          port: first,
          host: typeof second === "string" ? second : undefined,
          backlog: [second, third].find((one) => typeof one === "number"),
        }
  ) as { host?: string; exclusive?: boolean; ipv6Only?: boolean };
  return options.exclusive || options.ipv6Only || !names.includes(options.host || undefined)
    ? undefined
    : options;
}

/** Gives a function that is true when the error is kept from the app, since another name is being tried. */
function tryOtherNames(instance: Instance, listen: (server: NetServer, args: Args) => void) {
  const attempts = new WeakMap<NetServer, Attempt>();
  const { isWorker } = nodeCluster as unknown as Cluster;

  return (server: NetServer, args: Args | undefined, error: NodeJS.ErrnoException): boolean => {
    if (!isWorker || instance.isChild || error?.code !== "EADDRINUSE" || !args) return false;
    const options = optionsOf(args);
    if (!options) return false;
    const attempt = attempts.get(server) ?? {
      left: names.filter((name) => name !== (options.host || undefined)),
      error,
    };
    // The last word, and it is the app's own address that is in use.
    if (attempt.error === error && attempts.has(server)) return false;
    attempts.set(server, attempt);
    const isOver = attempt.left.length === 0;
    const host = attempt.left.shift();
    if (isOver) process.nextTick(() => server.emit("error", attempt.error));
    // The callback waits for `listening` already.
    else listen(server, [{ ...options, host }]);
    return true;
  };
}

export = { tryOtherNames };

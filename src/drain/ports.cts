/** Where the app listens: told to the daemon, and in preflight moved out of the way of the serving instances. */
import net = require("node:net");
import everywhere = require("./everywhere.cjs");
import standby = require("./standby.cjs");

import type { Args, Instance, Observer } from "./types.cjs";

interface Wanted {
  port?: number;
  path?: string;
  /** As the app gave them. */
  args: Args;
}
interface ListenOptions {
  port?: unknown;
  path?: string;
  fd?: unknown;
  _handle?: unknown;
  handle?: unknown;
}

/** Every form of `listen`, as Node reads it. */
function parse(args: Args): Wanted {
  const first = args[0];
  const options = typeof first === "object" && first !== null ? (first as ListenOptions) : undefined;
  if (options?._handle || options?.handle || typeof options?.fd === "number") return { args };
  const port = options ? options.port : first;
  if (typeof port === "number" || (typeof port === "string" && port.trim() !== "" && Number(port) >= 0))
    return { port: Number(port), args };
  return { path: options ? options.path : typeof first === "string" ? first : undefined, args };
}

function moveTo(port: number, args: Args, callbacks: Args): Args {
  const first = args[0];
  if (typeof first !== "object" || first === null) return [port, "127.0.0.1", ...callbacks];
  return [{ ...first, port, host: "127.0.0.1", path: undefined, ipv6Only: false }, ...callbacks];
}

function observePorts(instance: Instance): Observer {
  const { appPort, preflightPort } = instance;
  const wanted = new WeakMap<net.Server, Wanted>();
  const listen = net.Server.prototype.listen as (this: net.Server, ...args: Args) => net.Server;
  const waits = standby.standBy(instance);
  /** Those that share the running instances' address instead of the one they asked for. */
  const joined = new WeakSet<net.Server>();
  const triesOther = everywhere.tryOtherNames(instance, (server, args) => {
    joined.add(server);
    listen.apply(server, args);
  });

  net.Server.prototype.listen = function (this: net.Server, ...args: Args) {
    let taken = args;
    let isWaiting = false;
    instance.quietly(() => {
      const asked = parse(args);
      wanted.set(this, asked);
      if (preflightPort && asked.port === appPort)
        taken = moveTo(
          preflightPort,
          args,
          args.filter((arg) => typeof arg === "function"),
        );
      else if (appPort && asked.port === appPort) isWaiting = waits(this, () => listen.apply(this, args));
    });
    return isWaiting ? this : listen.apply(this, taken);
  } as typeof net.Server.prototype.listen;

  /** A second port of the app is held by the serving instances; in preflight any other will do. */
  const listenAside = (server: net.Server, error?: NodeJS.ErrnoException): boolean => {
    const asked = wanted.get(server);
    if (!preflightPort || error?.code !== "EADDRINUSE" || !asked?.port || asked.args.length === 0)
      return false;
    wanted.set(server, { ...asked, args: [] });
    // The callback waits for `listening` already.
    listen.apply(server, moveTo(0, asked.args, []));
    return true;
  };

  const onListening = (server: net.Server): void => {
    const address = server.address();
    const actual = typeof address === "object" ? address?.port : undefined;
    const where = typeof address === "object" && joined.has(server) ? address?.address : undefined;
    const { port, path } = wanted.get(server) ?? {};
    if (appPort && actual && (port === appPort || actual === appPort)) {
      instance.appServers.add(server);
      instance.report("dropless:listening", { port: appPort, actual, ...(where && { joined: where }) });
    } else instance.report("dropless:listening-elsewhere", { port: port || actual, path, actual });
  };

  // Started for a daemon that is gone, it would hold its place for ever. The channel alone keeps nothing alive.
  if (preflightPort && !instance.isChild && process.connected) {
    process.once("disconnect", () => process.exit(0));
    process.channel?.unref();
  }

  return (server, type, args) => {
    if (type === "listening") onListening(server);
    if (type !== "error") return false;
    const error = args[0] as NodeJS.ErrnoException;
    const asked = wanted.get(server);
    const isApps = appPort !== 0 && asked?.port === appPort && !preflightPort;
    return listenAside(server, error) || (isApps && triesOther(server, asked?.args, error));
  };
}

export = { observePorts };

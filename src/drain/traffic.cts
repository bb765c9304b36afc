/** What the app has in hand: its servers, connections and the requests on them. */
import events = require("node:events");
import net = require("node:net");

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Args, Connection, Instance, Observer, Server, Session, Traffic } from "./types.cjs";

const badReportsMs = 5 * 60_000;
const badPauseMs = 100;

/** Tells the daemon which instance answered, since a request through the shared port cannot choose one. */
function createAnswerReports(instance: Instance) {
  const key = instance.env.DROPLESS_PROBE_KEY;
  const bootedAt = performance.now();
  let others = 20;
  let lastBadAt = -badPauseMs;
  return (req: IncomingMessage, res: ServerResponse): void => {
    const status = res.statusCode;
    const now = performance.now();
    const probe = Boolean(key) && req.headers["x-dropless-probe"] === key;
    // An answer that goes on for ever (server-sent events) is one too, when the probe has seen its head.
    if (!(probe ? res.headersSent : res.writableFinished)) return;
    if (!probe && others-- <= 0) {
      if (status < 500 || now - bootedAt > badReportsMs || now - lastBadAt < badPauseMs) return;
      lastBadAt = now;
    }
    instance.report("dropless:answered", { status, path: (req.url ?? "").split("?")[0], probe });
  };
}

function createTraffic(instance: Instance): { seen: Traffic; observe: Observer } {
  const servers = new Set<Server>();
  const sessions = new Set<Session>();
  const connections = new Map<net.Socket, Connection>();
  const requests = new WeakSet<ServerResponse>();
  const onAnswered = createAnswerReports(instance);

  const onConnection = (socket: net.Socket, pinned: boolean): void => {
    connections.set(socket, { busy: 0, pinned, bytes: 0, at: performance.now(), endedAt: 0 });
    socket.once("close", () => connections.delete(socket));
  };

  const onRequest = (server: Server, req: IncomingMessage, res: ServerResponse): void => {
    // An app may emit `request` again for what came as `checkContinue`.
    if (requests.has(res)) return;
    requests.add(res);
    const connection = connections.get(req.socket);
    if (connection) {
      connection.busy += 1;
      connection.latest = res;
    }
    res.once("close", () => {
      if (connection) {
        connection.busy -= 1;
        connection.at = performance.now();
        // A kept connection is not to keep what the app hung on its last response.
        if (connection.latest === res) connection.latest = undefined;
      }
      if (instance.appServers.has(server)) instance.quietly(() => onAnswered(req, res));
    });
  };

  const onSession = (session: Session): void => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    if (instance.phase !== "serving") session.close();
  };

  const observe: Observer = (server, type, args) => {
    const isHttp1 = server.keepAliveTimeout !== undefined;
    const isTls = "setSecureContext" in server;
    if (type === "listening") servers.add(server);
    else if (type === "close") servers.delete(server);
    else if (type === "connection") onConnection(args[0] as net.Socket, !isHttp1 || isTls);
    else if (type === "secureConnection") onConnection(args[0] as net.Socket, !isHttp1);
    else if (type === "session") onSession(args[0] as Session);
    else if (type === "request" || type === "checkContinue" || type === "checkExpectation")
      onRequest(server, args[0] as IncomingMessage, args[1] as ServerResponse);
    else if (type === "upgrade" || type === "connect") {
      const connection = connections.get(args[1] as net.Socket);
      if (connection) connection.pinned = true;
    }
    return false;
  };

  return { seen: { servers, sessions, connections }, observe };
}

/** By `emit`, not by listeners: a listener for `upgrade` alone changes what Node does with a request. */
function observeServers(instance: Instance, observers: Observer[]): void {
  net.Server.prototype.emit = function (this: Server, type: unknown, ...args: Args) {
    let kept = false;
    for (const observe of observers)
      instance.quietly(() => {
        kept = observe(this, type, args) || kept;
      });
    return kept || Reflect.apply(events.EventEmitter.prototype.emit, this, [type, ...args]);
  } as typeof net.Server.prototype.emit;
}

export = { createTraffic, observeServers };

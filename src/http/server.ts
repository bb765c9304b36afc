import type { Socket } from "node:net";
import { join } from "node:path";
import { setImmediate as othersTurn } from "node:timers/promises";
import rateLimit from "@fastify/rate-limit";
import { type FastifyInstance, type FastifyRequest, fastify, LogController } from "fastify";
import { dashboard } from "../dashboard/plugin.js";
import { Fault, withoutTrace } from "../domain/fault.js";
import { auditCalls } from "./audit.js";
import { createAuth, createCallers } from "./auth.js";
import { webhookLimit } from "./body.js";
import { ensureCliToken } from "./cli-token.js";
import { cliTokenFile } from "./client.js";
import type { HttpDeps } from "./deps.js";
import { createNoRoute } from "./methods.js";
import { rawProblem, sendProblem } from "./problem.js";
import { baseUrl } from "./request.js";
import { restWhileAlone } from "./rest.js";
import { appRoutes } from "./routes/apps.js";
import { deployRoutes } from "./routes/deploys.js";
import { webhookRoute } from "./routes/webhook.js";
import { createSessions } from "./session.js";
import { sessionRoutes } from "./session-routes.js";
import { createStreams } from "./stream.js";

/** Failed verifications of one address in a minute before it is told to wait. */
const failuresPerMinute = 60;

/** What JSON calls (all but the webhook) may bring. */
const callLimit = 64 * 1024;

/** In place of Fastify's compilers of JSON schemas. */
const noSchemas = (): never => {
  throw new Error("Routes here have no JSON schema: what comes in is checked by zod.");
};

/** Answers on a connection whose bytes were no request: too slow, too long, or not HTTP. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  const told: Record<string, [string, string]> = {
    ERR_HTTP_REQUEST_TIMEOUT: ["timeout", "The request did not arrive in time"],
    HPE_HEADER_OVERFLOW: ["headers_too_large", "The headers are too large"],
  };
  const [code, message] = told[error.code ?? ""] ?? ["invalid_request", "This is not an HTTP request"];
  const answer = rawProblem(new Fault(code, message, "Send it again, as an ordinary HTTP request."));
  if (socket.writable) socket.end(answer, () => socket.destroy());
  else socket.destroy();
}

/**
 * The daemon's HTTP side, not listening yet. Every route is closed unless it names who may call it
 * (`config.access`). Closing it ends the streams of all followers; they know how to come back.
 */
export async function createServer(deps: HttpDeps): Promise<FastifyInstance> {
  const { config, queue, logs, logger, version, ready, redactor: redact } = deps;
  const { trustProxy, publicUrl } = config.server;
  const { headersMs = 15_000, requestMs = 30_000, closingMs } = deps.patience ?? {};
  const lookMs = Math.ceil(headersMs / 3);
  const stopping = new AbortController();

  const server = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    // One logger for all: nothing is told by a request's number, and each would have one made.
    childLoggerFactory: (parent) => parent,
    bodyLimit: webhookLimit,
    exposeHeadRoutes: false,
    // No route here has a JSON schema, so the compilers for them, 4 MB, are not even loaded.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    trustProxy: trustProxy.length > 0 ? trustProxy : false,
    // Whoever sends slowly holds a connection for so long and no longer.
    requestTimeout: requestMs,
    http: { headersTimeout: headersMs, connectionsCheckingInterval: lookMs },
    keepAliveTimeout: 72_000,
    forceCloseConnections: "idle",
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, request, reply) => {
      sendProblem(error, request, reply);
    },
  }) as unknown as FastifyInstance;

  restWhileAlone(server.server, lookMs);
  server.setErrorHandler((error, request, reply) => sendProblem(error, request, reply));
  const noRoute = createNoRoute(server);
  server.setNotFoundHandler((request, reply) => sendProblem(noRoute(request, reply), request, reply));
  if (logger.level === "debug" || logger.level === "trace")
    server.addHook("onResponse", async (request, reply) => {
      const path = request.url.split("?")[0];
      request.log.debug(
        { method: request.method, path, status: reply.statusCode, ms: reply.elapsedTime },
        "answered",
      );
    });
  // What every request passes calls back: a promise for each would be a part of what an answer costs.
  server.addHook("onSend", (_request, reply, payload, done) => {
    reply.header("x-content-type-options", "nosniff");
    if (stopping.signal.aborted) reply.header("connection", "close");
    if (!reply.hasHeader("cache-control")) reply.header("cache-control", "no-store");
    done(null, typeof payload === "string" ? redact.text(payload) : payload);
  });
  server.addHook("preClose", async () => {
    stopping.abort();
    // Connections whose stream has ended just now are idle only later than Fastify looks for them.
    const sweep = setInterval(() => server.server.closeIdleConnections(), 100).unref();
    server.server.once("close", () => clearInterval(sweep));
  });

  // Counts failures only, and is asked only after one: who signs correctly is never locked out by who does not.
  await server.register(rateLimit, { global: false, cache: 10_000 });
  const countFailure = server.createRateLimit({ max: failuresPerMinute, timeWindow: 60_000 });
  const penalise = async (request: FastifyRequest, fault: Fault): Promise<Fault> => {
    // Behind whatever else came at this moment, and then all refusals in one go: each that is sent by itself wakes its
    // receiver, which is a third of what it costs.
    await othersTurn();
    // Who has already gone has no address any more.
    if (!request.ip) return fault;
    const count = await countFailure(request);
    if (count.isAllowed || !count.isExceeded) return fault;
    const message = `Too many failed attempts from this address. ${fault.message}`;
    const limited = withoutTrace(() => new Fault("rate_limited", message, fault.hint));
    return Object.assign(limited, { retryAfter: count.ttlInSeconds });
  };

  const callerOf = createCallers(config.tokens, ensureCliToken(cliTokenFile(config.dataDir)));
  const sessions = createSessions({
    file: join(config.dataDir, "sessions.json"),
    operatorOf: callerOf,
    publicUrl,
  });
  const authorize = createAuth({
    callerOf,
    sessionOf: (request) => sessions.operator(request),
    tokenReads: (token, id) => queue.tokenReads(token, id),
  });
  server.decorateRequest("caller", null);
  server.addHook("onRequest", (request, _reply, done) => {
    if (request.is404) return done();
    try {
      request.caller = authorize(request);
      done();
    } catch (error) {
      if (!(error instanceof Fault && error.code === "unauthorized")) return done(error as Error);
      penalise(request, error).then(done, done);
    }
  });

  server.removeContentTypeParser(["application/json", "text/plain"]);
  server.addContentTypeParser(
    "application/json",
    { parseAs: "string", bodyLimit: callLimit },
    (_request, body, done) => {
      try {
        done(null, body === "" ? undefined : JSON.parse(String(body)));
      } catch {
        done(new Fault("invalid_request", "The body is not JSON", "Send one JSON object."));
      }
    },
  );

  if (deps.audit) auditCalls(server, deps.audit);

  // What watches over servers often asks with HEAD.
  server.get("/healthz", { config: { access: "anyone" }, exposeHeadRoute: true }, async () => ({
    status: "ok",
    version,
  }));
  server.get("/readyz", { config: { access: "anyone" }, exposeHeadRoute: true }, async () => {
    if (ready()) return { status: "ready", version };
    throw new Fault("stopping", "dropless is starting or stopping", "Ask again in a moment.");
  });
  const { metrics } = deps;
  if (metrics)
    server.get("/metrics", { config: { access: "read" } }, async (_request, reply) => {
      const { contentType, text } = await metrics();
      return reply.type(contentType).send(text);
    });
  if (config.openapi) {
    const { openApi } = await import("./openapi.js");
    server.get("/openapi.json", { config: { access: "read" } }, async (request) =>
      openApi(version, baseUrl(config, request)),
    );
  }
  webhookRoute(server, deps, penalise);
  deployRoutes(server, deps, createStreams({ logs, queue, redact, closingMs, stopping: stopping.signal }));
  appRoutes(server, deps);
  server.register(sessionRoutes, { sessions, publicUrl, docs: config.openapi, penalise });
  server.register(dashboard, { docs: config.openapi });
  return server;
}

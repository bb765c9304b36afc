import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";

/** Who did what; one line of `audit.ndjson`. Nothing that was not there is written. */
export interface AuditEntry {
  /** ISO 8601. */
  time: string;
  /** An operator's name, or `delivery` for what was signed. */
  who: string;
  scope?: string;
  ip: string;
  /** `POST /apps/:app/rollback` */
  action: string;
  path: string;
  /** Of the answer. */
  status: number;
  app?: string;
  deploy?: string;
  /** Of a refusal. */
  code?: string;
  /** Why a delivery had no effect. */
  ignored?: string;
  event?: string;
}

/** What of an answer belongs into the entry; each call gives some of it. */
const told = z.object({
  id: z.string().optional().catch(undefined),
  app: z.string().optional().catch(undefined),
  name: z.string().optional().catch(undefined),
  code: z.string().optional().catch(undefined),
  ignored: z.string().optional().catch(undefined),
  operator: z.object({ name: z.string(), scope: z.string() }).optional().catch(undefined),
});

const read = (payload: unknown): z.output<typeof told> => {
  try {
    return told.parse(JSON.parse(String(payload)));
  } catch {
    return {};
  }
};

const eventOf = (request: FastifyRequest): string | undefined => {
  const event = request.headers["x-github-event"];
  return typeof event === "string" ? event.slice(0, 64) : undefined;
};

/**
 * Writes down every call that changes something, before it is answered; and every one that an operator was
 * refused. Who proves nothing leaves no line, or anybody could fill the disk.
 */
export function auditCalls(server: FastifyInstance, write: (entry: AuditEntry) => void): void {
  server.addHook("onSend", async (request, reply, payload) => {
    if (request.method === "GET" || request.is404) return payload;
    const status = reply.statusCode;
    const { access } = request.routeOptions.config;
    const { caller } = request;
    if (status >= 400 && !caller) return payload;
    const { id, app, name, code, ignored, operator } = read(payload);
    const { app: asked, id: deploy } = request.params as { app?: string; id?: string };
    const who = caller ?? operator;
    if (!who && access !== "signature") return payload;
    write({
      time: new Date().toISOString(),
      who: who?.name ?? "delivery",
      scope: who?.scope,
      ip: request.ip,
      action: `${request.method} ${request.routeOptions.url}`,
      path: request.url.split("?")[0] ?? "",
      status,
      app: asked ?? app ?? name,
      deploy: deploy ?? id,
      code,
      ignored,
      event: access === "signature" ? eventOf(request) : undefined,
    });
    return payload;
  });
}

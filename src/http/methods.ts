import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Fault } from "../domain/fault.js";
import { notFound } from "./problem.js";

/** `/apps/:app/hold` → what addresses of it look like. */
const patternOf = (url: string): RegExp =>
  new RegExp(`^${url.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/:\w+/g, "[^/]+")}$`);

/**
 * What is wrong with a request that no route takes: who opens the webhook's address in a browser is to see that it is
 * there. To be called before the routes are registered.
 */
export function createNoRoute(server: FastifyInstance) {
  const routes: { pattern: RegExp; method: string }[] = [];
  server.addHook("onRoute", ({ url, method }) => {
    for (const one of [method].flat()) routes.push({ pattern: patternOf(url), method: one });
  });

  /** Fault `not_found` | `method_not_allowed`, with its header. */
  return function noRoute(request: FastifyRequest, reply: FastifyReply): Fault {
    const [path = ""] = request.url.split("?");
    const methods = routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (methods.length === 0) return notFound("such address here");
    const allowed = [...new Set(methods)].join(", ");
    reply.header("allow", allowed);
    return new Fault(
      "method_not_allowed",
      `This address takes ${allowed}, not ${request.method}`,
      "docs/http.md shows every call; deliveries are sent with POST, and signed.",
    );
  };
}

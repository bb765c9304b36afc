import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { type Config, type Scope, scopes } from "../config/schema.js";
import { Fault } from "../domain/fault.js";
import type { Queue } from "../domain/ports.js";

/**
 * Who may call a route. `signature` routes verify their body themselves; `own` also lets the deploy's own
 * token in. A route that says nothing is closed to everybody.
 */
type Access = "anyone" | "signature" | Scope | "own";

export interface Caller {
  name: string;
  scope: Scope;
}

declare module "fastify" {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    caller: Caller | null;
  }
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const unauthorized = (message: string): Fault =>
  new Fault(
    "unauthorized",
    message,
    "Send `Authorization: Bearer <token>`; `dropless token create NAME --scope read` makes one.",
  );

/** Whose token has this SHA-256 (hex); undefined when it is nobody's. */
type CallerOf = (tokenSha256: string) => Caller | undefined;

export function createCallers(tokens: Config["tokens"], cliToken: string): CallerOf {
  const known = [
    { name: "local", scope: "admin" as Scope, hash: Buffer.from(sha256(cliToken), "hex") },
    ...tokens.map(({ name, scope, sha256: hex }) => ({ name, scope, hash: Buffer.from(hex, "hex") })),
  ];
  return (tokenSha256) => {
    const hash = Buffer.from(tokenSha256, "hex");
    // Every one is compared, whichever fits: time says nothing about how many there are.
    const [found] = known.filter((one) => one.hash.length === hash.length && timingSafeEqual(one.hash, hash));
    return found && { name: found.name, scope: found.scope };
  };
}

interface AuthDeps {
  callerOf: CallerOf;
  /** Whose session of the page a request carries. */
  sessionOf(request: FastifyRequest): Caller | undefined;
  tokenReads: Queue["tokenReads"];
}

export function createAuth({ callerOf, sessionOf, tokenReads }: AuthDeps) {
  /** Throws Fault `unauthorized` | `forbidden`. Returns who calls, or null where nobody has to be known. */
  return function authorize(request: FastifyRequest): Caller | null {
    const { access } = request.routeOptions.config;
    if (access === "anyone" || access === "signature") return null;
    const { authorization } = request.headers;
    const token = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(authorization ?? "")?.[1];
    const session = authorization === undefined ? sessionOf(request) : undefined;
    if (!token && !session) throw unauthorized("The request carries no token");
    const caller = token ? callerOf(sha256(token)) : session;
    if (!caller) {
      const { id } = request.params as { id?: string };
      if (access === "own" && id && token && tokenReads(token, id)) return { name: "deploy", scope: "read" };
      throw unauthorized("The token is not known here, or no longer");
    }
    const needed = access === "own" ? "read" : access;
    if (needed && scopes.indexOf(caller.scope) >= scopes.indexOf(needed)) return caller;
    // Who tried is known, and written down.
    request.caller = caller;
    throw new Fault(
      "forbidden",
      `The token "${caller.name}" has the scope ${caller.scope}, which does not allow this`,
      `Use a token with the scope ${needed ?? "admin"}.`,
    );
  };
}

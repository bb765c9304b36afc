import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { Fault } from "../domain/fault.js";
import { isOwnPage } from "./same-origin.js";
import type { Sessions } from "./session.js";

const signInSchema = z.object({ token: z.string().min(1).max(1000) });

interface SessionRoutesDeps {
  sessions: Sessions;
  publicUrl?: string;
  /** Whether there is a page at `/docs`. */
  docs: boolean;
  /** Counts a failed attempt against its address. */
  penalise(request: FastifyRequest, fault: Fault): Promise<Fault>;
}

/**
 * Sign-in of the page: `POST /session {token}` gives the cookie, `GET` says whose it is (`operator: null` for
 * nobody's), and whether there are `docs`; `DELETE` ends it. Faults `unauthorized`, `forbidden`.
 */
export async function sessionRoutes(
  app: FastifyInstance,
  { sessions, publicUrl, docs, penalise }: SessionRoutesDeps,
): Promise<void> {
  const config = { access: "anyone" } as const;

  app.get("/session", { config }, async (request) => ({
    operator: sessions.operator(request) ?? null,
    ...(docs && { docs }),
  }));

  app.post("/session", { config, bodyLimit: 4096 }, async (request, reply) => {
    if (!isOwnPage(request, publicUrl)) throw elsewhere();
    const token = signInSchema.safeParse(request.body).data?.token.trim() ?? "";
    const opened = sessions.open(token, request);
    if (!opened) {
      const fault = new Fault(
        "unauthorized",
        "This is not the token of an operator",
        "Make one with `dropless token create NAME --scope deploy`, and add the entry it prints to the configuration.",
      );
      throw await penalise(request, fault);
    }
    reply.header("set-cookie", opened.cookie);
    return { operator: opened.operator };
  });

  app.delete("/session", { config }, async (request, reply) => {
    if (!isOwnPage(request, publicUrl)) throw elsewhere();
    // Who signs out is known, and written down.
    request.caller = sessions.operator(request) ?? null;
    reply.header("set-cookie", sessions.close(request));
    return { operator: null };
  });
}

const elsewhere = (): Fault =>
  new Fault(
    "forbidden",
    "This request was not made by the page of this daemon",
    "Open the page itself and sign in there; if a proxy changes the host name, set `server.publicUrl`.",
  );

import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { type Deploy, isEnded } from "../../domain/deploy.js";
import { Fault } from "../../domain/fault.js";
import { isRefName, isSha } from "../../domain/ref.js";
import type { HttpDeps } from "../deps.js";
import { appOf, baseUrl, checked, deployOf } from "../request.js";
import type { createStreams } from "../stream.js";
import { accepted, deploySummary, deployView } from "../view.js";
import { statusSchema } from "../wire.js";

const tailLines = 50;

export const listQuery = z.object({
  app: z.string().max(64).optional(),
  status: statusSchema.optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  before: z
    .string()
    .regex(/^[0-9a-z]{1,64}$/, "is not a deploy's id")
    .optional(),
});
const count = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const logsQuery = z.object({
  follow: z.enum(["0", "1", "true", "false", ""]).optional(),
  after: count.optional(),
});
export const askBody = z.strictObject({
  app: z.string(),
  ref: z
    .string()
    .refine((ref) => isRefName(ref) || isSha(ref), "is not the name of a branch or a tag, nor a hash")
    .optional(),
});

type ById = { Params: { id: string } };

export function deployRoutes(
  server: FastifyInstance,
  { config, queue, logs }: HttpDeps,
  streams: ReturnType<typeof createStreams>,
) {
  const summary = (deploy: Deploy, base: string) => deploySummary(deploy, base, queue.position(deploy.id));
  const view = async (deploy: Deploy, base: string) =>
    deployView(summary(deploy, base), await logs.tail(deploy.id, tailLines));

  const flowing = (reply: FastifyReply, type: string, make: (left: AbortSignal) => AsyncIterable<Buffer>) => {
    const left = new AbortController();
    const { raw } = reply;
    raw.once("close", () => left.abort());
    async function* answering() {
      // Whoever follows a deploy that waits is to know at once that he is heard, before there is a line.
      setImmediate(() => raw.headersSent || raw.destroyed || raw.flushHeaders());
      yield* make(left.signal);
    }
    return reply
      .type(type)
      .header("cache-control", "no-cache, no-transform")
      .header("x-accel-buffering", "no")
      .send(Readable.from(answering(), { objectMode: false }));
  };

  const sendEvents = (request: FastifyRequest<ById>, reply: FastifyReply) => {
    const { id } = deployOf(queue, request.params.id);
    const { after } = request.query as { after?: string };
    const seen = request.headers["last-event-id"] ?? after;
    // Who has seen the end is told not to come again (204 stops a browser's EventSource).
    if (seen === "end") return reply.code(204).send();
    const place = count.safeParse(seen ?? 0);
    const base = baseUrl(config, request);
    return flowing(reply, "text/event-stream; charset=utf-8", (left) =>
      streams.events(id, place.success ? place.data : 0, left, (deploy) => view(deploy, base)),
    );
  };

  server.get("/deploys", { config: { access: "read" } }, async (request) => {
    const base = baseUrl(config, request);
    const filter = checked(listQuery, request.query);
    // A place that is not there has nothing before it: that would read as if there were no deploys.
    if (filter.before !== undefined && !queue.get(filter.before))
      throw new Fault(
        "invalid_request",
        "The request is not as it should be: before: there is no deploy of this id",
        "Give the `next` of an earlier answer, or the id of any deploy.",
      );
    const { deploys, next } = queue.list(filter);
    return { deploys: deploys.map((deploy) => summary(deploy, base)), next };
  });

  server.get<ById>("/deploys/:id", { config: { access: "own" } }, async (request, reply) => {
    reply.header("vary", "accept");
    if (/\btext\/event-stream\b/i.test(request.headers.accept ?? "")) return sendEvents(request, reply);
    return view(deployOf(queue, request.params.id), baseUrl(config, request));
  });

  server.get<ById>("/deploys/:id/events", { config: { access: "own" } }, async (request, reply) =>
    sendEvents(request, reply),
  );

  server.get<ById>("/deploys/:id/logs", { config: { access: "own" } }, async (request, reply) => {
    const { id } = deployOf(queue, request.params.id);
    const { follow, after } = checked(logsQuery, request.query);
    const place = { afterLine: after, follow: follow === "1" || follow === "true" };
    return flowing(reply, "text/plain; charset=utf-8", (left) => streams.text(id, place, left));
  });

  server.post("/deploys", { config: { access: "deploy" } }, async (request, reply) => {
    const { app: name, ref = "" } = checked(askBody, request.body);
    const app = appOf(config, name);
    const branch = ref === "" || ref === app.branch ? `refs/heads/${app.branch}` : ref;
    const commit = { sha: isSha(ref) ? ref : "", message: "", author: "" };
    const submission = queue.ask({ app: name, trigger: "manual", ref: branch, commit });
    if (submission.kind === "held")
      throw new Fault(
        "held",
        `${name} is on hold: ${submission.reason}`,
        `Release it with \`dropless resume ${name}\`, then deploy again.`,
      );
    const more =
      submission.kind === "queued" ? { position: submission.position, token: submission.token } : {};
    return reply.code(202).send(accepted(submission.deploy, baseUrl(config, request), more));
  });

  server.post<ById>("/deploys/:id/cancel", { config: { access: "deploy" } }, async (request, reply) => {
    const deploy = deployOf(queue, request.params.id);
    if (isEnded(deploy))
      throw new Fault(
        "not_cancelable",
        `This deploy has already ended: it is ${deploy.status}`,
        "To undo what it did, use `dropless rollback APP`.",
      );
    return reply.code(202).send(await view(queue.cancel(deploy.id), baseUrl(config, request)));
  });
}

import { hash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Fault } from "../../domain/fault.js";
import type { Submission } from "../../domain/ports.js";
import { createPayloadReader } from "../../github/payload.js";
import { bodyText, createVerifier } from "../../github/signature.js";
import { createBodyReader } from "../body.js";
import type { HttpDeps } from "../deps.js";
import { baseUrl } from "../request.js";
import { accepted } from "../view.js";

const header = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
};

const heldFault = (held: (Submission & { kind: "held" })[]): Fault =>
  new Fault(
    "held",
    `On hold: ${held.map(({ app, reason }) => `${app} (${reason})`).join(", ")}`,
    "Send it again after `dropless resume APP`; GitHub's Redeliver does.",
  );

/** A job's identity token in place of a signature; an event of GitHub's is always signed. */
const identityToken = (request: FastifyRequest): string | undefined =>
  ["x-hub-signature-256", "x-hub-signature", "x-github-event"].some((name) => request.headers[name])
    ? undefined
    : /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(request.headers.authorization ?? "")?.[1];

/** `POST /webhooks/deploy`: raw bytes → verified → requests → stored → answered. */
export function webhookRoute(
  server: FastifyInstance,
  { config, queue, ready, identify }: HttpDeps,
  penalise: (request: FastifyRequest, fault: Fault) => Promise<Fault>,
) {
  const withBody = createBodyReader();
  const apps = Object.values(config.apps);
  const signedFor = createVerifier(apps);
  const readPayload = createPayloadReader(apps);

  const answer = (request: FastifyRequest, reply: FastifyReply, submissions: Submission[]) => {
    const base = baseUrl(config, request);
    const held = submissions.filter((one) => one.kind === "held");
    const views = submissions.flatMap((one) => {
      if (one.kind === "held") return [];
      if (one.kind === "duplicate") return [{ ...accepted(one.deploy, base, {}), duplicate: true as const }];
      return [accepted(one.deploy, base, { position: one.position, token: one.token })];
    });
    const first = views.find((view) => !("duplicate" in view && view.duplicate)) ?? views[0];
    if (!first) throw heldFault(held);
    return reply.code(first.duplicate ? 200 : 202).send({
      ...first,
      ...(submissions.length > 1 && { deploys: views }),
      ...(held.length > 0 && { held: held.map(({ app, reason }) => ({ app, reason })) }),
    });
  };

  server.register(async (scope) => {
    // The signature covers the bytes as they came: nothing reads them before it is checked.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      ["application/json", "application/x-www-form-urlencoded"],
      (_request, _body, done) => done(null),
    );

    scope.post("/webhooks/deploy", { config: { access: "signature" } }, async (request, reply) => {
      if (!ready())
        throw new Fault(
          "stopping",
          "dropless is starting or stopping and takes no deliveries",
          "Send it again in a moment; GitHub's Redeliver does.",
        );
      return withBody(request.raw, async (raw) => {
        const text = bodyText(raw);
        try {
          const token = identityToken(request);
          const signed = identify && token ? await identify(token) : await signedFor(request.headers, text);
          const reading = readPayload(
            {
              event: header(request, "x-github-event"),
              delivery: header(request, "x-github-delivery"),
              contentType: header(request, "content-type") ?? "",
              text,
            },
            signed,
          );
          if (reading.kind === "pong") return reply.send({ pong: true });
          if (reading.kind === "ignored") return reply.send({ ignored: reading.reason });
          const bodySha256 = hash("sha256", raw);
          const delivery = { id: reading.deliveryId ?? `body-${bodySha256}`, bodySha256 };
          return answer(request, reply, await queue.deliverSoon(delivery, reading.requests));
        } catch (error) {
          throw error instanceof Fault && ["not_signed", "token_refused"].includes(error.code)
            ? await penalise(request, error)
            : error;
        }
      });
    });
  });
}

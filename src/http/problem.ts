import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { Fault } from "../domain/fault.js";
import type { Problem } from "./wire.js";

/** Not imported: as in rollout/ask.ts. */
const { STATUS_CODES } = process.getBuiltinModule("node:http");

/** The status of each code that a request can be answered with; anything else is a bug (500). */
const statusOf = new Map<string, number>(
  Object.entries({
    unreadable: 400,
    invalid_request: 400,
    not_signed: 401,
    token_refused: 401,
    unauthorized: 401,
    forbidden: 403,
    not_found: 404,
    app_unknown: 404,
    release_unknown: 404,
    method_not_allowed: 405,
    timeout: 408,
    held: 409,
    not_cancelable: 409,
    nothing_to_roll_back_to: 409,
    too_large: 413,
    uri_too_long: 414,
    unsupported_media_type: 415,
    rate_limited: 429,
    headers_too_large: 431,
    internal: 500,
    stopping: 503,
    issuer_unreachable: 503,
    store_unwritable: 503,
  }),
);

const problem = (fault: Pick<Fault, "code" | "message" | "hint">): Problem => {
  const status = statusOf.get(fault.code) ?? 500;
  return {
    type: `urn:dropless:problem:${fault.code}`,
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail: fault.message,
    code: fault.code,
    hint: fault.hint,
  };
};

/** What Fastify refuses by itself, in our words. */
const ofFastify = (error: FastifyError): Fault | undefined => {
  switch (error.statusCode) {
    case 413:
      return new Fault("too_large", "The body is larger than dropless takes", "Send less than the limit.");
    case 415:
      return new Fault(
        "unsupported_media_type",
        "The body's Content-Type is not one that dropless reads",
        "Send `Content-Type: application/json`; webhooks may also be application/x-www-form-urlencoded.",
      );
    case 414:
      return new Fault("uri_too_long", "The address is too long", "Shorten it.");
    default:
      return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500
        ? new Fault("invalid_request", `The request cannot be read: ${error.message}`, "Correct the request.")
        : undefined;
  }
};

const hidden = new Fault(
  "internal",
  "dropless met an error it did not expect",
  "The daemon's own log has the details; please report it.",
);

/** The one place where an error becomes an answer. A stack trace goes to the daemon's log, never to the caller. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = error instanceof Fault ? error : ofFastify(error as FastifyError);
  const body = problem(known && statusOf.has(known.code) ? known : hidden);
  if (body.status >= 500 && body.status !== 503) request.log.error({ err: error }, "a request failed");
  if (body.status === 401) reply.header("www-authenticate", 'Bearer realm="dropless"');
  if (error instanceof Fault && "retryAfter" in error) reply.header("retry-after", String(error.retryAfter));
  if (body.status === 503) reply.header("retry-after", "10");
  return reply.code(body.status).type("application/problem+json").send(body);
}

/** An answer for a connection on which no request could be made out. */
export const rawProblem = (fault: Fault): string => {
  const body = JSON.stringify(problem(fault));
  const { status, title } = problem(fault);
  return [
    `HTTP/1.1 ${status} ${title}`,
    "Content-Type: application/problem+json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
};

export const notFound = (what: string): Fault =>
  new Fault(
    "not_found",
    `There is no ${what}`,
    "`dropless list` shows the deploys there are, docs/http.md the addresses.",
  );

import type { FastifyRequest } from "fastify";
import type { z } from "zod";
import type { AppConfig, Config } from "../config/schema.js";
import type { Deploy } from "../domain/deploy.js";
import { Fault } from "../domain/fault.js";
import type { Queue } from "../domain/ports.js";
import { notFound } from "./problem.js";

/** What a caller gave, checked. Fault `invalid_request` names every field that is wrong. */
export function checked<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const wrong = parsed.error.issues.map((issue) => `${issue.path.join(".") || "the body"}: ${issue.message}`);
  throw new Fault(
    "invalid_request",
    `The request is not as it should be: ${wrong.join("; ")}`,
    "Correct it; docs/http.md shows every call.",
  );
}

export const appOf = (config: Config, name: string): AppConfig => {
  const app = config.apps[name];
  if (app) return app;
  throw new Fault(
    "app_unknown",
    "There is no app of this name",
    `Configured are: ${Object.keys(config.apps).join(", ")}.`,
  );
};

export const deployOf = (queue: Queue, id: string): Deploy => {
  const deploy = /^[0-9a-z]{1,64}$/.test(id) ? queue.get(id) : undefined;
  if (deploy) return deploy;
  throw notFound("deploy of this id");
};

/** Where the daemon is reached: as configured, else as this caller reached it. Never ends with a slash. */
export const baseUrl = (config: Config, request: FastifyRequest): string => {
  const { host, port, publicUrl } = config.server;
  if (publicUrl) return publicUrl;
  const asked = request.host ?? "";
  return /^[A-Za-z0-9.:[\]-]{1,260}$/.test(asked)
    ? `${request.protocol}://${asked}`
    : `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
};

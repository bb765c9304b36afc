import { z } from "zod";
import { holdBody, rollbackBody } from "./routes/apps.js";
import { askBody, listQuery, logsQuery } from "./routes/deploys.js";
import {
  acceptedSchema,
  appSchema,
  appsSchema,
  deploySchema,
  healthSchema,
  listSchema,
  problemSchema,
} from "./wire.js";

type Json = Record<string, unknown>;

const answers = {
  Accepted: acceptedSchema,
  App: appSchema,
  Apps: appsSchema,
  Deploy: deploySchema,
  Deploys: listSchema,
  Health: healthSchema,
  Problem: problemSchema,
};

/** A JSON Schema of draft 2020-12, which is what OpenAPI 3.1 takes. */
const schemaOf = (schema: z.ZodType, io: "input" | "output" = "output"): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
};

const content = (type: string, schema: Json): Json => ({ content: { [type]: { schema } } });
const ref = (name: keyof typeof answers): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (name: keyof typeof answers, description: string): Json => ({
  description,
  ...content("application/json", ref(name)),
});
const text = (type: string, description: string): Json => ({
  description,
  ...content(type, { type: "string" }),
});
const problem: Json = {
  description: "A problem (RFC 9457): `code` for programs, `hint` for people.",
  ...content("application/problem+json", ref("Problem")),
};

const inPath = (name: string): Json => ({
  name,
  in: "path",
  required: true,
  schema: { type: "string" },
});
const inQuery = (schema: z.ZodType): Json[] =>
  Object.entries((schemaOf(schema).properties ?? {}) as Json).map(([name, of]) => ({
    name,
    in: "query",
    required: false,
    schema: of,
  }));
const body = (schema: z.ZodType, required: boolean): Json => ({
  required,
  ...content("application/json", schemaOf(schema, "input")),
});

type Who = "anyone" | "read" | "deploy" | "own" | "signature";

const security: Record<Who, Json[]> = {
  anyone: [],
  read: [{ token: [] }],
  deploy: [{ token: [] }],
  own: [{ token: [] }, { deployToken: [] }],
  signature: [{ signature: [] }, { identityToken: [] }],
};

/** One call; what it answers by status, and a problem for everything else. */
const call = (who: Who, summary: string, responses: Json, more: Json = {}): Json => ({
  summary: ["read", "deploy"].includes(who) ? `${summary} (scope: ${who})` : summary,
  security: security[who],
  ...more,
  responses: { ...responses, default: problem },
});

const [id, app] = [inPath("id"), inPath("app")];

const paths: Json = {
  "/webhooks/deploy": {
    post: call(
      "signature",
      "A delivery of GitHub, or a request of an Actions job",
      {
        200: { description: "`{ignored}`, `{pong: true}`, or the earlier deploy with `duplicate: true`" },
        202: json("Accepted", "Stored: it will happen. Several apps: all of them under `deploys`"),
      },
      { requestBody: { required: true, ...content("application/json", { type: "object" }) } },
    ),
  },
  "/deploys": {
    get: call(
      "read",
      "Deploys, newest first",
      { 200: json("Deploys", "A page of them") },
      { parameters: inQuery(listQuery) },
    ),
    post: call(
      "deploy",
      "Deploy an app",
      { 202: json("Accepted", "Stored: it will happen") },
      { requestBody: body(askBody, true) },
    ),
  },
  "/deploys/{id}": {
    get: call("own", "One deploy", { 200: json("Deploy", "The deploy") }, { parameters: [id] }),
  },
  "/deploys/{id}/logs": {
    get: call(
      "own",
      "Its log",
      { 200: text("text/plain", "As it was printed") },
      { parameters: [id, ...inQuery(logsQuery)] },
    ),
  },
  "/deploys/{id}/events": {
    get: call(
      "own",
      "What happens, as it happens",
      { 200: text("text/event-stream", "`status`, `step`, `log`, `end`") },
      { parameters: [id] },
    ),
  },
  "/deploys/{id}/cancel": {
    post: call(
      "deploy",
      "Cancel a deploy",
      { 202: json("Deploy", "It ends `canceled`") },
      { parameters: [id] },
    ),
  },
  "/apps": { get: call("read", "Every app", { 200: json("Apps", "The apps") }) },
  "/apps/{app}": { get: call("read", "One app", { 200: json("App", "The app") }, { parameters: [app] }) },
  "/apps/{app}/rollback": {
    post: call(
      "deploy",
      "Go back to an earlier release",
      { 202: json("Accepted", "Stored") },
      { parameters: [app], requestBody: body(rollbackBody, false) },
    ),
  },
  "/apps/{app}/hold": {
    put: call(
      "deploy",
      "Start no deploy of an app",
      { 200: json("App", "The app") },
      { parameters: [app], requestBody: body(holdBody, true) },
    ),
    delete: call("deploy", "Release an app", { 200: json("App", "The app") }, { parameters: [app] }),
  },
  "/healthz": { get: call("anyone", "Does it live?", { 200: json("Health", "Yes") }) },
  "/readyz": { get: call("anyone", "Does it take deliveries?", { 200: json("Health", "Yes") }) },
};

/** The HTTP interface as OpenAPI 3.1, made of the schemas that answers and requests are checked by. */
export const openApi = (version: string, url: string): Json => ({
  openapi: "3.1.0",
  info: { title: "dropless", version, license: { name: "MIT", identifier: "MIT" } },
  servers: [{ url }],
  paths,
  components: {
    schemas: Object.fromEntries(Object.entries(answers).map(([name, schema]) => [name, schemaOf(schema)])),
    securitySchemes: {
      token: { type: "http", scheme: "bearer", description: "An operator's token" },
      deployToken: {
        type: "http",
        scheme: "bearer",
        description: "The token that a deploy was accepted with",
      },
      identityToken: {
        type: "http",
        scheme: "bearer",
        bearerFormat: "JWT",
        description: "Of GitHub Actions, where the app has `oidc`",
      },
      signature: { type: "apiKey", in: "header", name: "X-Hub-Signature-256" },
    },
  },
});

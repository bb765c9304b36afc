import { type KeyObject, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import formats from "ajv-formats";
import { type Received, receiver } from "./receiver.js";

interface Operation {
  operationId: string;
  method: string;
  path: string;
  parameters: { name: string; in: string; required: boolean; schema: object }[];
  body?: { properties: object };
  status: number;
  answer: object;
  example: unknown;
}
const rest = JSON.parse(readFileSync(join(import.meta.dirname, "github-rest.json"), "utf8")) as {
  operations: Operation[];
  schemas: object;
};

const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: false });
formats.default(ajv);
const validators = new Map<string, ReturnType<Ajv["compile"]>>();
/** What GitHub's description has against a value; empty when nothing. */
function faultsOf(name: string, schema: object, value: unknown): string[] {
  const known = validators.get(name) ?? ajv.compile({ schemas: rest.schemas, ...schema });
  validators.set(name, known);
  return known(value) ? [] : [`${name}: ${ajv.errorsText(known.errors)}: ${JSON.stringify(value)}`];
}

const operationOf = (method: string, pathname: string) =>
  rest.operations.find(
    (one) => one.method === method && new RegExp(`^${one.path.replace(/\{\w+\}/g, "[^/]+")}$`).test(pathname),
  );

/** Is this request one that GitHub's description of its API knows, to the last key? */
function unfit(operation: Operation, got: Received): string[] {
  const { operationId, parameters, body } = operation;
  const query = new URL(got.path, "http://x").searchParams;
  const known = parameters.filter((one) => one.in === "query");
  const faults = [...query.keys()]
    .filter((name) => !known.some((one) => one.name === name))
    .map((name) => `${operationId}: no such parameter: ${name}`);
  for (const { name, schema } of known) {
    const text = query.get(name);
    const value = "type" in schema && schema.type === "integer" && text ? Number(text) : text;
    if (value !== null) faults.push(...faultsOf(`${operationId} ${name}`, schema, value));
  }
  if (!body) return faults;
  const sent = JSON.parse(got.body) as object;
  const extra = Object.keys(sent).filter((key) => !(key in body.properties));
  faults.push(...extra.map((key) => `${operationId}: no such key: ${key}`));
  return [...faults, ...faultsOf(`${operationId} body`, body, sent)];
}

interface GithubOptions {
  /** A person's token; or */
  token?: string;
  /** the App whose installation 77 may make tokens, with the public half of its key. */
  app?: { id: string; publicKey: KeyObject; lifeMs?: number };
  /** Answers so in place of what was asked for. */
  fails?(got: Received, nth: number): number | undefined;
}

const segment = (text: string | undefined) =>
  JSON.parse(Buffer.from(text ?? "", "base64url").toString() || "{}") as Record<string, unknown>;

/** As GitHub checks the proof of an App: its key's signature, its id, and ten minutes at most. */
function isProof(jwt: string, { id, publicKey }: { id: string; publicKey: KeyObject }): boolean {
  const [head, claims, signature = ""] = jwt.split(".");
  const { iss, iat, exp } = segment(claims) as { iss: string; iat: number; exp: number };
  const now = Date.now() / 1000;
  return (
    segment(head).alg === "RS256" &&
    verify("RSA-SHA256", Buffer.from(`${head}.${claims}`), publicKey, Buffer.from(signature, "base64url")) &&
    iss === id &&
    iat <= now &&
    exp > now &&
    exp - now <= 600
  );
}

/**
 * A server that answers the calls of GitHub's REST API that dropless makes. Every request and every answer is held
 * against GitHub's own description; what differs is in `unfit`, which a test expects to be empty.
 */
export async function githubServer({ token, app, fails = () => undefined }: GithubOptions) {
  const deployments: {
    id: number;
    sha: string;
    environment: string;
    payload: unknown;
    statuses: { state: string; description?: string; log_url?: string }[];
  }[] = [];
  const tokens = new Set(token ? [token] : []);
  const faults: string[] = [];
  const exampleOf = (id: string) => rest.operations.find(({ operationId }) => operationId === id)?.example;
  const view = ({ statuses: _, ...deployment }: (typeof deployments)[number]) => ({
    ...(exampleOf("repos/create-deployment") as object),
    ...deployment,
    ref: deployment.sha,
  });
  const refused = { status: 401, body: { message: "Bad credentials" } };

  const served = await receiver((got, nth) => {
    const { pathname, searchParams } = new URL(got.path, "http://x");
    const operation = operationOf(got.method, pathname);
    if (!operation) {
      faults.push(`no such call: ${got.method} ${pathname}`);
      return { status: 404, body: { message: "Not Found" } };
    }
    faults.push(...unfit(operation, got));
    const failing = fails(got, nth);
    if (failing) return { status: failing, body: { message: "no" } };
    const bearer = got.headers.authorization?.replace(/^Bearer /, "") ?? "";
    const answer = (body: unknown) => {
      faults.push(...faultsOf(`${operation.operationId} answer`, operation.answer, body));
      return { status: operation.status, body };
    };
    if (operation.operationId === "apps/create-installation-access-token") {
      if (!app || !pathname.endsWith("/77/access_tokens") || !isProof(bearer, app)) return refused;
      const made = `ghs_${tokens.size}_${Math.random().toString(36).slice(2)}`;
      tokens.add(made);
      // To the second, as GitHub writes it.
      const expires_at = new Date(Date.now() + (app.lifeMs ?? 3_600_000)).toISOString().replace(/\.\d+/, "");
      return answer({ token: made, expires_at, ...JSON.parse(got.body), repository_selection: "selected" });
    }
    if (!tokens.has(bearer)) return refused;
    if (operation.operationId === "repos/create-deployment-status") {
      const [, id] = /\/deployments\/(\d+)\//.exec(pathname) ?? [];
      const sent = JSON.parse(got.body);
      deployments[Number(id) - 1]?.statuses.push(sent);
      return answer({ ...(exampleOf(operation.operationId) as object), ...sent });
    }
    if (operation.operationId === "repos/list-deployments")
      return answer(
        deployments
          .filter(({ sha, environment }) =>
            [sha, environment].every((one, i) => one === searchParams.get(["sha", "environment"][i] ?? "")),
          )
          .map(view),
      );
    const { ref, environment, payload, auto_merge, required_contexts } = JSON.parse(got.body);
    // Anything else makes GitHub merge the default branch into it, or wait for checks: 409.
    if (auto_merge !== false || required_contexts?.length !== 0) return { status: 409, body: {} };
    const made = { id: deployments.length + 1, sha: ref, environment, payload, statuses: [] };
    deployments.push(made);
    return answer(view(made));
  });
  return { ...served, deployments, tokens, unfit: faults };
}

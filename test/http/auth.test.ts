import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ensureCliToken } from "../../src/http/cli-token.js";
import { problemSchema } from "../../src/http/wire.js";
import { push } from "../support/payloads.js";
import { tempDir } from "../support/temp.js";
import { bench, operators } from "./bench.js";

const calls = [
  ["GET", "/deploys", "read"],
  ["GET", "/deploys/ID", "read"],
  ["GET", "/deploys/ID/logs", "read"],
  ["GET", "/apps", "read"],
  ["GET", "/apps/api", "read"],
  ["POST", "/deploys", "deploy"],
  ["POST", "/deploys/ID/cancel", "deploy"],
  ["POST", "/apps/api/rollback", "deploy"],
  ["PUT", "/apps/api/hold", "deploy"],
  ["DELETE", "/apps/api/hold", "deploy"],
] as const;

it("lets nobody in without a token, or with one of too little scope", async () => {
  const { inject, deliver } = await bench();
  const { id, token } = (await deliver(push(), "push")).body;
  for (const [method, path, scope] of calls) {
    const url = path.replace("ID", id);
    const as = async (who: string | null) => (await inject(method, url, { token: who })).status;
    const what = `${method} ${path}`;
    expect(await as(null), what).toBe(401);
    expect(await as("not-a-token"), what).toBe(401);
    if (scope === "deploy") expect(await as(operators.reader), what).toBe(403);
    // The deploy's own token reads that deploy and does nothing else.
    expect(await as(token), what).toBe(path.startsWith("/deploys/ID") && scope === "read" ? 200 : 401);
  }
  for (const [method, path] of calls.filter(([, , scope]) => scope === "read"))
    expect((await inject(method, path.replace("ID", id), { token: operators.reader })).status, path).toBe(
      200,
    );
});

it("takes tokens from the Authorization header only", async () => {
  const { inject } = await bench();
  const attempts: Record<string, string>[] = [
    { cookie: `token=${operators.admin}` },
    { "x-token": operators.admin },
    { authorization: operators.admin },
    { authorization: `Basic ${Buffer.from(`admin:${operators.admin}`).toString("base64")}` },
    { authorization: `Bearer ${operators.admin} x` },
    { authorization: "Bearer " },
  ];
  for (const headers of attempts)
    expect((await inject("GET", "/deploys", { token: null, headers })).status, JSON.stringify(headers)).toBe(
      401,
    );
  expect((await inject("GET", `/deploys?token=${operators.admin}`, { token: null })).status).toBe(401);
});

it("does not let another deploy's token in", async () => {
  const { inject, deliver } = await bench();
  const mine = (await deliver(push(), "push")).body;
  const other = (await inject("POST", "/deploys", { body: { app: "web" } })).body;
  expect((await inject("GET", `/deploys/${other.id}`, { token: mine.token })).status).toBe(401);
});

it("lets the local command line in by a file of mode 0600, made once", async () => {
  const { inject, config } = await bench();
  const file = join(config.dataDir, "cli-token");
  const token = readFileSync(file, "utf8").trim();
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(Buffer.from(token, "base64url")).toHaveLength(32);
  expect((await inject("POST", "/deploys", { body: { app: "api" }, token })).status).toBe(202);
  chmodSync(file, 0o644);
  expect(ensureCliToken(file)).toBe(token);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it("does not take an empty token file for a token", () => {
  const file = join(tempDir("token"), "cli-token");
  writeFileSync(file, "\n");
  expect(ensureCliToken(file)).toHaveLength(43);
});

it("trusts nothing for coming from loopback", async () => {
  const { server } = await bench();
  const answer = await server.inject({ url: "/apps", remoteAddress: "127.0.0.1" });
  expect(answer.statusCode).toBe(401);
  expect(answer.headers["www-authenticate"]).toContain("Bearer");
});

it("tells which methods an address takes, and answers HEAD where a server is watched", async () => {
  const { inject, server } = await bench();
  const asked = await inject("GET", "/webhooks/deploy", { token: null });
  expect(asked.status).toBe(405);
  expect(asked.headers.allow).toBe("POST");
  expect(asked.body).toMatchObject({
    code: "method_not_allowed",
    detail: "This address takes POST, not GET",
  });
  expect((await inject("POST", "/apps/any/hold?x=1")).headers.allow).toBe("PUT, DELETE");
  for (const path of ["/apps/a/b", "/deploys/01x/log", "/healthzz", "/webhooks/deploy/", "/"])
    expect((await inject("POST", path)).status, path).toBe(path === "/" ? 405 : 404);
  for (const url of ["/healthz", "/readyz"]) {
    const head = await server.inject({ method: "HEAD", url });
    expect([head.statusCode, head.body]).toEqual([200, ""]);
  }
});

it("answers every error as a problem document, without a stack or a secret", async () => {
  const { inject, world } = await bench();
  const json = { "content-type": "application/json" };
  world.instances = () => {
    throw new Error("at /srv/secret/place");
  };
  const answers = await Promise.all([
    inject("GET", "/nothing"),
    inject("PUT", "/deploys"),
    inject("GET", "/deploys/%zz"),
    inject("GET", `/deploys/${"a".repeat(5000)}`),
    inject("POST", "/deploys", { body: "{", headers: json }),
    inject("POST", "/deploys", { body: "x", headers: { "content-type": "text/plain" } }),
    inject("POST", "/deploys", { body: `"${"a".repeat(70_000)}"`, headers: json }),
    inject("GET", "/apps/api"),
    inject("GET", "/apps", { token: null }),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([404, 405, 400, 414, 400, 415, 413, 500, 401]);
  for (const { body, status, text, headers } of answers) {
    expect(headers["content-type"]).toContain("application/problem+json");
    expect(problemSchema.strict().parse(body).status).toBe(status);
    expect(text).not.toMatch(/\.ts|node_modules|\bat \/|\/srv\/secret/);
  }
});

import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openUsedTokens } from "../../src/adapters/used-tokens.js";
import { createIdentify } from "../../src/extras/oidc.js";
import { bench, operators } from "../http/bench.js";
import { issuer } from "../support/issuer.js";
import { push, request, shaOf } from "../support/payloads.js";
import { tempDir } from "../support/temp.js";

const guarded = async (oidc: Record<string, unknown> = {}) => {
  const from = await issuer();
  const world = await bench({
    apps: {
      api: {
        repository: "git@github.com:acme/api.git",
        root: "/srv/api",
        pm2: { script: "s.js" },
        oidc: { issuer: from.url, audience: "dropless-test", repository: "Acme/API", ...oidc },
      },
    },
    deps: (config) => {
      const used = openUsedTokens(join(config.dataDir, "used-tokens"));
      onTestFinished(() => used.close());
      return {
        identify: createIdentify({ apps: Object.values(config.apps), take: used.take, cooldownMs: 0 }),
      };
    },
  });
  const send = (token: string, body: unknown = request(), headers: Record<string, string> = {}) =>
    world.inject("POST", "/webhooks/deploy", {
      token,
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
  return { ...world, from, send };
};

it("takes a job's identity token in place of a secret, once", async () => {
  const { from, send, queue } = await guarded({ workflow: "deploy.yml" });
  const token = await from.token();
  const first = await send(token);
  expect(first).toMatchObject({ status: 202, body: { app: "api", commit: { sha: shaOf(2) } } });
  expect(queue.get(first.body.id)?.trigger).toBe("request");
  const again = await send(token, request({ sha: shaOf(3), delivery: "other" }));
  expect(again).toMatchObject({ status: 401, body: { code: "token_refused" } });
  expect(again.body.detail).toContain("used before");
  expect((await send(await from.token())).body).toMatchObject({ id: first.body.id, duplicate: true });
  // Asked once: the keys are kept.
  expect(from.got).toHaveLength(1);
});

/** What anybody can write, without a key. */
const unsigned = (claims: object): string =>
  `${[{ alg: "RS256", kid: "none" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")}.AAAA`;

it("refuses what is expired, forged, or made for somebody else", async () => {
  const { from, send, queue } = await guarded({ workflow: "deploy.yml" });
  const now = Math.floor(Date.now() / 1000);
  const tokens: [string, string][] = [
    ["expired", await from.token({}, { expires: now - 60 })],
    ["expired", await from.token({ iat: now - 3600 })],
    ["jti", await from.token({ jti: undefined })],
    ["repository", await from.token({ repository: undefined })],
    ["aud", await from.token({ aud: "https://github.com/acme" })],
    ["repository", await from.token({ repository: "evil/api" })],
    ["ref", await from.token({ ref: "refs/heads/topic" })],
    ["workflow_ref", await from.token({ workflow_ref: "acme/api/.github/workflows/ci.yml@refs/heads/main" })],
    ["issuer", await from.token({ iss: "https://evil.example" })],
    [
      "signed",
      (await from.token()).replace(/\.[\w-]{20}/, `.${Buffer.from('{"a":1}').toString("base64url")}`),
    ],
    ...[5, true, {}, [from.url]].map((iss): [string, string] => ["issuer|signed", unsigned({ iss })]),
    ["carries no signature", "not-a-token"],
    ["carries no signature", operators.admin],
  ];
  await from.forge();
  tokens.push(["signed", await from.token()]);
  for (const [what, token] of tokens) {
    const { status, body } = await send(token);
    expect([what, status]).toEqual([what, 401]);
    expect(`${body.detail}`).toMatch(what === "signed" ? /signed|read/ : new RegExp(what));
  }
  expect(queue.list({ limit: 10 }).deploys).toEqual([]);
});

it("lets a token neither stand in for GitHub's own events nor reach another app", async () => {
  const { from, send } = await guarded();
  expect((await send(await from.token(), push(), { "x-github-event": "push" })).body.code).toBe("not_signed");
  expect((await send(await from.token(), request({ repository: "acme/web" }))).body.code).toBe("not_signed");
  expect((await send(await from.token(), request({ repository: "acme/none" }))).body.code).toBe(
    "app_unknown",
  );
});

it("takes any ref of a pinned environment, and nothing outside of it", async () => {
  const { from, send } = await guarded({ environment: "production" });
  expect((await send(await from.token())).body.detail).toContain("environment");
  const token = await from.token({ environment: "production", ref: "refs/tags/v1" });
  expect((await send(token)).status).toBe(202);
});

it("follows an issuer that changes its keys, and says when it cannot be asked", async () => {
  const { from, send } = await guarded();
  expect((await send(await from.token())).status).toBe(202);
  await from.rotate();
  expect((await send(await from.token(), request({ sha: shaOf(3), delivery: "2" }))).status).toBe(202);
  await from.rotate();
  from.up = false;
  const away = await send(await from.token());
  expect(away).toMatchObject({ status: 503, body: { code: "issuer_unreachable" } });
});

it("remembers used tokens over a restart, until they expire", () => {
  const file = join(tempDir("used"), "used-tokens");
  const at = (now: number) => openUsedTokens(file, () => now);
  const first = at(1000);
  expect([first.take("a", 1300), first.take("b", 1100), first.take("a", 1300)]).toEqual([true, true, false]);
  first.close();
  const second = at(1200);
  expect([second.take("a", 1300), second.take("b", 1300)]).toEqual([false, true]);
  second.close();
});

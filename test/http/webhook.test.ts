import { createHmac } from "node:crypto";
import { expect, it } from "vitest";
import { push, request, shaOf, workflowRun } from "../support/payloads.js";
import { bench, operators, secrets, sign } from "./bench.js";

const countOf = (queue: { list(filter: { limit: number }): { deploys: unknown[] } }) =>
  queue.list({ limit: 100 }).deploys.length;

it("stores a signed push and answers 202 with where to watch it", async () => {
  const { deliver, queue, inject } = await bench();
  const { status, body } = await deliver(push(), "push");
  expect(status).toBe(202);
  expect(body).toEqual({
    id: expect.stringMatching(/^[0-9a-z]{26}$/),
    app: "api",
    status: "queued",
    commit: { sha: shaOf(2), message: "Say hello\n\nTwice.", author: "Ann Dev" },
    position: 1,
    url: `https://deploy.example.com/deploys/${body.id}`,
    token: expect.any(String),
  });
  expect(queue.get(body.id)).toMatchObject({ trigger: "push", ref: "refs/heads/main" });
  const own = await inject("GET", `/deploys/${body.id}`, { token: body.token });
  expect(own.body.id).toBe(body.id);
});

it("takes a request of an Actions job, and GitHub's form encoding", async () => {
  const { deliver } = await bench();
  expect((await deliver(request())).status).toBe(202);
  const form = new URLSearchParams({ payload: JSON.stringify(push({ after: shaOf(3) })) }).toString();
  const answer = await deliver(form, "push", {
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  expect(answer.body).toMatchObject({ status: "queued", commit: { sha: shaOf(3) } });
});

it("answers who signs wrongly behind whatever else came at the same moment", async () => {
  const { deliver } = await bench();
  const order: string[] = [];
  const wrong = { headers: { "x-hub-signature-256": `sha256=${"0".repeat(64)}` } };
  const said = (name: string) => () => void order.push(name);
  await Promise.all([
    deliver(push(), "push", wrong).then(said("wrong")),
    deliver({ zen: "…", hook_id: 1 }, "ping").then(said("right")),
    deliver(push({ deleted: true }), "push").then(said("right")),
  ]);
  expect(order).toEqual(["right", "right", "wrong"]);
});

it("answers a repeat with the earlier deploy, and no token", async () => {
  const { deliver, queue } = await bench();
  const first = await deliver(push(), "push", { headers: { "x-github-delivery": "d-1" } });
  for (const id of ["d-1", "d-2"]) {
    const again = await deliver(push(), "push", { headers: { "x-github-delivery": id } });
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ id: first.body.id, duplicate: true });
    expect(again.body.token).toBeUndefined();
  }
  expect(countOf(queue)).toBe(1);
});

it("says why it ignores what has no effect, and pongs", async () => {
  const { deliver, queue } = await bench();
  expect((await deliver({ zen: "…", hook_id: 1 }, "ping")).body).toEqual({ pong: true });
  const other = await deliver(push({ ref: "refs/heads/next" }), "push");
  expect(other).toMatchObject({ status: 200, body: { ignored: expect.stringContaining("another branch") } });
  expect((await deliver(workflowRun(), "workflow_run")).body.ignored).toContain("not in `on`");
  expect((await deliver(push({ deleted: true }), "push")).body.ignored).toContain("deleted");
  expect(countOf(queue)).toBe(0);
});

it("refuses with 401 and without a trace whatever no secret of that app has signed", async () => {
  const { deliver, queue, logged } = await bench();
  const body = JSON.stringify(push());
  const mac = createHmac("sha1", secrets.api).update(body).digest("hex");
  const attempts: [string, Record<string, string>][] = [
    ["no signature", { "x-hub-signature-256": "" }],
    ["a wrong secret", { "x-hub-signature-256": sign(body, "not the secret at all") }],
    ["another app's secret", { "x-hub-signature-256": sign(body, secrets.web) }],
    ["SHA-1", { "x-hub-signature-256": "", "x-hub-signature": `sha1=${mac}` }],
    ["a truncated signature", { "x-hub-signature-256": sign(body).slice(0, -1) }],
    ["the secret itself", { "x-hub-signature-256": secrets.api }],
    ["a body changed by one byte", { "x-hub-signature-256": sign(body.replace("hello", "hallo")) }],
    ["an operator's token", { "x-hub-signature-256": "", authorization: `Bearer ${operators.admin}` }],
  ];
  for (const [what, headers] of attempts) {
    const answer = await deliver(body, "push", { headers });
    expect(answer.status, what).toBe(401);
    expect(answer.headers["content-type"]).toContain("application/problem+json");
    expect(answer.body, what).toMatchObject({ code: "not_signed", status: 401, hint: expect.any(String) });
    if (what === "the secret itself") expect(answer.body.hint).toContain("HMAC-SHA256 of the raw body");
    expect(answer.text).not.toContain(secrets.api);
  }
  expect(countOf(queue)).toBe(0);
  expect(logged.join("")).not.toContain(secrets.api);
});

it("answers unreadable, unknown, unsupported and too large with their own codes", async () => {
  const { deliver, inject } = await bench();
  const coded = async (answer: ReturnType<typeof deliver>) => {
    const { status, body } = await answer;
    return [status, body.code];
  };
  expect(await coded(deliver("", "push"))).toEqual([400, "unreadable"]);
  expect(await coded(deliver("not json", "push"))).toEqual([400, "unreadable"]);
  expect(await coded(deliver({ ref: "refs/heads/main" }, "push"))).toEqual([400, "unreadable"]);
  const latin = Buffer.from([0x7b, 0xe9, 0x7d]);
  const raw = { "content-type": "application/json", "x-hub-signature-256": sign(latin) };
  expect(await coded(inject("POST", "/webhooks/deploy", { body: latin, headers: raw }))).toEqual([
    400,
    "unreadable",
  ]);
  expect(await coded(deliver(push({}, "acme/nothing"), "push"))).toEqual([404, "app_unknown"]);
  expect(await coded(deliver(request({ app: "nothing" })))).toEqual([404, "app_unknown"]);
  expect(await coded(deliver("{}", "push", { headers: { "content-type": "text/plain" } }))).toEqual([
    415,
    "unsupported_media_type",
  ]);
  const large = `{"x":"${"a".repeat(25 * 1024 * 1024)}"}`;
  expect(await coded(deliver(large, "push"))).toEqual([413, "too_large"]);
  const justFits = JSON.stringify(push({ filler: "a".repeat(25 * 1024 * 1024 - 2000) }));
  expect(await coded(deliver(justFits, "push"))).toEqual([202, undefined]);
});

it("makes one deploy for each app of the repository that the delivery concerns", async () => {
  const other = (name: string, more = {}) => ({
    repository: "git@github.com:acme/api.git",
    root: `/srv/${name}`,
    secrets: ["env:api"],
    pm2: { script: "s.js", name },
    ...more,
  });
  const { deliver, queue } = await bench({
    apps: { worker: other("worker"), docs: other("docs", { branch: "docs" }) },
  });
  const both = await deliver(push(), "push");
  expect(both.status).toBe(202);
  expect(both.body.app).toBe("api");
  expect(both.body.deploys.map((one: { app: string; token: string }) => [one.app, typeof one.token])).toEqual(
    [
      ["api", "string"],
      ["worker", "string"],
    ],
  );
  queue.hold("api", "moving house", "ann");
  const one = await deliver(push({ after: shaOf(3) }), "push");
  expect(one).toMatchObject({
    status: 202,
    body: { app: "worker", held: [{ app: "api", reason: "moving house" }] },
  });
  queue.hold("worker", "moving house", "ann");
  const none = await deliver(push({ after: shaOf(4) }), "push");
  expect(none).toMatchObject({ status: 409, body: { code: "held" } });
  expect(none.body.detail).toContain("moving house");
  queue.resume("api");
  const later = await deliver(push({ after: shaOf(4) }), "push");
  expect(later, "a 409 is not remembered").toMatchObject({ status: 202, body: { app: "api" } });
});

it("takes no webhook for an app without secrets", async () => {
  const open = { repository: "acme/open", root: "/srv/open", pm2: { script: "s.js" } };
  const { deliver } = await bench({ apps: { open } });
  expect(await deliver(push({}, "acme/open"), "push")).toMatchObject({ status: 401 });
});

it("refuses with 503 while the daemon stops", async () => {
  const { deliver, world, inject, queue } = await bench();
  world.ready = false;
  const answer = await deliver(push(), "push");
  expect(answer).toMatchObject({ status: 503, body: { code: "stopping" } });
  expect(answer.headers["retry-after"]).toBeDefined();
  expect((await inject("GET", "/readyz")).status).toBe(503);
  expect((await inject("GET", "/healthz")).status).toBe(200);
  expect(countOf(queue)).toBe(0);
});

it("tells who fails again and again to wait, and never who signs", async () => {
  const { deliver, server } = await bench({ server: { trustProxy: ["loopback"] } });
  const bad = (from: string) =>
    deliver(push(), "push", { headers: { "x-hub-signature-256": "", "x-forwarded-for": from } });
  const statuses = [];
  for (let i = 0; i < 70; i++) statuses.push((await bad("203.0.113.9")).status);
  expect(statuses.slice(0, 20)).toEqual(Array(20).fill(401));
  expect(statuses.at(-1)).toBe(429);
  const last = await bad("203.0.113.9");
  expect(Number(last.headers["retry-after"])).toBeGreaterThan(0);
  expect(last.body).toMatchObject({ code: "rate_limited", status: 429 });
  expect((await bad("203.0.113.10")).status).toBe(401);
  const signed = await deliver(push(), "push", { headers: { "x-forwarded-for": "203.0.113.9" } });
  expect(signed.status).toBe(202);
  const guess = await server.inject({
    url: "/deploys",
    headers: { authorization: "Bearer x", "x-forwarded-for": "203.0.113.9" },
  });
  expect(guess.statusCode).toBe(429);
});

it("does not believe X-Forwarded-For from anybody the configuration does not trust", async () => {
  const { deliver } = await bench();
  const bad = (i: number) =>
    deliver(push(), "push", { headers: { "x-hub-signature-256": "", "x-forwarded-for": `203.0.113.${i}` } });
  const statuses = [];
  for (let i = 0; i < 70; i++) statuses.push((await bad(i)).status);
  expect(statuses.at(-1)).toBe(429);
});

it("remembers a delivery by its signed body, whatever the unsigned id says", async () => {
  const { deliver } = await bench();
  const body = JSON.stringify(request({ delivery: "77-1" }));
  const first = await deliver(body);
  expect(first.status).toBe(202);
  expect((await deliver(body)).body).toMatchObject({ duplicate: true, id: first.body.id });
  expect((await deliver(request({ delivery: "77-1", sha: shaOf(9) }))).body).toMatchObject({
    duplicate: true,
  });
});

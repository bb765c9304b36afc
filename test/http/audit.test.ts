import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createAuditLog } from "../../src/adapters/audit-log.js";
import { push } from "../support/payloads.js";
import { bench, operators, secrets } from "./bench.js";

const audited = async () => {
  let file = "";
  const world = await bench({
    deps: (config) => {
      file = join(config.dataDir, "audit.ndjson");
      return { audit: createAuditLog(file, (error) => expect.fail(String(error))) };
    },
  });
  return {
    ...world,
    file,
    entries: () =>
      readFileSync(file, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
  };
};

it("writes down who did what, before it is answered, and nothing that was only read", async () => {
  const { inject, deliver, entries, file } = await audited();
  const delivered = await deliver(push(), "push");
  await inject("GET", "/apps", { token: operators.reader });
  await inject("PUT", "/apps/api/hold", { token: operators.deployer, body: { reason: "frozen" } });
  await inject("POST", `/deploys/${delivered.body.id}/cancel`, { token: operators.deployer });
  await inject("POST", "/deploys", { token: operators.reader, body: { app: "api" } });
  const [first, hold, cancel, refused, ...more] = entries();
  expect(first).toEqual({
    time: expect.stringMatching(/^\d{4}-.*Z$/),
    who: "delivery",
    ip: "127.0.0.1",
    action: "POST /webhooks/deploy",
    path: "/webhooks/deploy",
    status: 202,
    app: "api",
    deploy: delivered.body.id,
    event: "push",
  });
  expect(hold).toMatchObject({ who: "deployer", scope: "deploy", action: "PUT /apps/:app/hold", app: "api" });
  expect(cancel).toMatchObject({ who: "deployer", deploy: delivered.body.id, status: 202 });
  expect(refused).toMatchObject({ who: "reader", status: 403, code: "forbidden" });
  expect(more).toEqual([]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it("lets nobody who proves nothing write a line, and writes no secret", async () => {
  const { inject, deliver, entries, file } = await audited();
  await deliver(push(), "push", { secret: "not the secret at all" });
  await inject("POST", "/deploys", { token: "nobody's", body: { app: "api" } });
  await inject("POST", "/nowhere", { token: null });
  const page = { "x-dropless-page": "1", "sec-fetch-site": "same-origin" };
  expect((await inject("DELETE", "/session", { token: null, headers: page })).status).toBe(200);
  await inject("POST", "/deploys", { token: operators.deployer, body: { app: "none" } });
  await deliver(push({ ref: "refs/heads/next2" }), "push");
  expect(entries()).toMatchObject([
    { who: "deployer", status: 404, code: "app_unknown" },
    { who: "delivery", status: 200, ignored: expect.stringContaining("another branch") },
  ]);
  const text = readFileSync(file, "utf8");
  for (const hidden of [...Object.values(operators), ...Object.values(secrets)])
    expect(text).not.toContain(hidden);
});

it("goes on when it cannot be written", async () => {
  const reported: unknown[] = [];
  const { deliver } = await bench({
    deps: (config) => ({
      audit: createAuditLog(join(config.dataDir, "none", "audit"), (e) => void reported.push(e)),
    }),
  });
  expect((await deliver(push(), "push")).status).toBe(202);
  expect(reported).toHaveLength(1);
});

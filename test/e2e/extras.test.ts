import { execFileSync } from "node:child_process";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createReadStream, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { appFiles } from "../support/apps.js";
import { githubServer } from "../support/github.js";
import { createHost, type DeployAnswer, type Host } from "../support/host.js";
import { issuer } from "../support/issuer.js";
import { receiver } from "../support/receiver.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

const hookSecret = "a-secret-of-the-hook-0123";
let host: Host;
let repo: Repo;
let port = 0;

beforeAll(async () => {
  host = await createHost({ env: { HOOK_SECRET: hookSecret } });
  port = await freePort();
  repo = createRepo(host.dir, "api");
});
afterAll(() => host?.end());

/** Git's files by plain HTTP: an origin that is somewhere else, as one at GitHub is. */
async function remote(folder: string): Promise<string> {
  const server = createServer((request, response) => {
    const path = join(folder, normalize(new URL(request.url ?? "/", "http://x").pathname));
    const isFile = statSync(path, { throwIfNoEntry: false })?.isFile();
    if (!isFile) return response.writeHead(404).end();
    createReadStream(path).pipe(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it("tells everybody of everything, with all that is off by default switched on at once", async () => {
  const origin = await remote(join(host.dir, "origin"));
  const from = await issuer();
  const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const github = await githubServer({ app: { id: "4711", publicKey: keys.publicKey } });
  const hook = await receiver(() => ({ status: 204 }));
  const pem = join(host.dir, "github-app.pem");
  writeFileSync(pem, keys.privateKey.export({ type: "pkcs1", format: "pem" }));

  host.addApp("api", {
    repository: `${origin}/acme/api.git`,
    port,
    install: false,
    pm2: { script: "server.js", instances: 1 },
    oidc: { issuer: from.url, audience: "dropless-test", repository: "acme/api" },
  });
  host.server.publicUrl = "https://deploy.example.com";
  Object.assign(host.more, {
    metrics: true,
    openapi: true,
    audit: true,
    catchUp: true,
    notify: [{ type: "webhook", url: `${hook.url}/deploys`, secret: "env:HOOK_SECRET" }],
    github: { app: 4711, installation: 77, privateKey: `file:${pem}`, apiUrl: github.url },
  });
  await host.start();

  const commit = (release: string, files = appFiles({ kind: "http", release, port })) => {
    const sha = repo.commit(files, `release ${release}`);
    execFileSync("git", ["update-server-info"], { cwd: repo.url });
    return sha;
  };
  const told = (count: number) => hook.until((got) => got.length >= count);

  // By a signed push, by a job's identity token, and by a push of something bad.
  const first = await host.deploy(repo.fullName, commit("one"));
  const body = { repository: "acme/api", ref: "refs/heads/main", sha: commit("two"), delivery: "77-1" };
  const asked = await host.post<DeployAnswer>(JSON.stringify(body), {
    authorization: `Bearer ${await from.token()}`,
  });
  expect(asked.status).toBe(202);
  const second = await host.ended(asked.body.id);
  const third = await host.deploy(repo.fullName, commit("three", { "server.js": "throw new Error('no')" }));
  expect([first, second, third].map(({ status }) => status)).toEqual(["succeeded", "succeeded", "failed"]);
  await told(3);

  const metrics = String((await host.call("GET", "/metrics")).body);
  expect(metrics).toContain('dropless_deploys_total{app="api",outcome="succeeded"} 2');
  expect(metrics).toContain('dropless_deploys_total{app="api",outcome="failed"} 1');
  expect(metrics).toContain(`release="${second.release}"`);
  expect((await host.call("GET", "/openapi.json")).body).toMatchObject({ openapi: "3.1.0" });
  expect((await host.call("GET", "/docs", undefined, "")).status).toBe(200);

  // A push whose delivery never comes: the daemon is away, and finds it when it is back.
  await host.stop();
  const missed = commit("four", appFiles({ kind: "http", release: "four", port }));
  await host.start();
  await told(4);
  const { body: list } = await host.call<{ deploys: DeployAnswer[] }>("GET", "/deploys");
  expect(list.deploys[0]).toMatchObject({ status: "succeeded", trigger: "push", commit: { sha: missed } });
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toContain("ok four ");
  await host.stop();

  expect(github.unfit).toEqual([]);
  expect(github.deployments.map(({ statuses }) => statuses.map(({ state }) => state))).toEqual([
    ["in_progress", "success"],
    ["in_progress", "success"],
    ["in_progress", "failure"],
    ["in_progress", "success"],
  ]);
  expect(github.deployments[0]?.statuses[0]?.log_url).toBe(
    `https://deploy.example.com/#/deploys/${first.id}`,
  );
  for (const { headers, body: text } of hook.got) {
    const signature = createHmac("sha256", hookSecret).update(text).digest("hex");
    expect(headers["x-dropless-signature-256"]).toBe(`sha256=${signature}`);
  }
  expect(hook.got.map((got) => JSON.parse(got.body).deploy.status)).toEqual([
    "succeeded",
    "succeeded",
    "failed",
    "succeeded",
  ]);
  const audit = readFileSync(join(host.dir, "data/audit.ndjson"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(audit.map(({ who, deploy, status }) => [who, deploy, status])).toEqual([
    ["delivery", first.id, 202],
    ["delivery", second.id, 202],
    ["delivery", third.id, 202],
  ]);
  // Nothing of it went wrong, and nothing of it told a secret.
  const said = host.output.join("\n");
  expect(said.match(/"level":[56]0.*/g) ?? []).toEqual([]);
  expect(said.match(/"level":40.*(not told|not delivered).*/g) ?? []).toEqual([]);
  for (const secret of [hookSecret, host.secret, "PRIVATE KEY", ...github.tokens])
    expect(said).not.toContain(secret);
});

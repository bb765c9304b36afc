import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type DeployAnswer, type Host } from "../support/host.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

const names = ["api", "web"] as const;

describe("promises 4 and 5: one at a time, newest wins; only signed, never backwards", () => {
  let host: Host;
  const repos = {} as Record<(typeof names)[number], Repo>;
  const ports = {} as Record<(typeof names)[number], number>;

  beforeAll(async () => {
    host = await createHost({ env: { OTHER_SECRET: "the other app's own secret" } });
    for (const name of names) {
      ports[name] = await freePort();
      repos[name] = createRepo(host.dir, name);
      host.addApp(name, {
        repository: repos[name].url,
        port: ports[name],
        migrate: "test ! -e migration-fails",
        pm2: { script: "server.js", instances: 1 },
        health: { path: "/", successes: 1, soak: "0ms", watch: "100ms", ready: "20s" },
        secrets: [name === "api" ? "env:DEPLOY_SECRET" : "env:OTHER_SECRET"],
      });
    }
    await host.start();
  });
  afterAll(() => host?.end());

  const secretOf = (name: (typeof names)[number]) =>
    name === "api" ? host.secret : "the other app's own secret";
  const pushBody = (name: (typeof names)[number], sha: string) =>
    JSON.stringify({
      ref: "refs/heads/main",
      after: sha,
      repository: { full_name: `acme/${name}` },
      head_commit: { id: sha, message: `for ${name}`, author: { name: "Ada" } },
    });
  const hmac = (body: string, key: string, algorithm = "sha256") =>
    `${algorithm}=${createHmac(algorithm, key).update(body).digest("hex")}`;
  let deliveries = 0;
  const deliver = (name: (typeof names)[number], sha: string, id = `d${++deliveries}`) => {
    const body = pushBody(name, sha);
    return host.post<DeployAnswer & { duplicate?: boolean }>(body, {
      "x-github-event": "push",
      "x-github-delivery": id,
      "x-hub-signature-256": hmac(body, secretOf(name)),
    });
  };

  it("a hundred signed pushes at once for two apps", async () => {
    const shas = names.map((name) =>
      Array.from({ length: 50 }, (_, i) =>
        repos[name].commit(appFiles({ kind: "http", release: `${name}-${i}`, port: ports[name] }), `${i}`, {
          push: i === 49,
        }),
      ),
    );
    const answers = await Promise.all(
      names.flatMap((name, n) => (shas[n] as string[]).map((sha) => deliver(name, sha))),
    );
    expect(answers.map((answer) => answer.status)).toEqual(Array(100).fill(202));

    let running = 0;
    const ids = answers.map((answer) => answer.body.id);
    expect(new Set(ids).size).toBe(100);
    const watching = new AbortController();
    const watch = (async () => {
      while (!watching.signal.aborted) {
        const list = await host.call<{ deploys: DeployAnswer[] }>("GET", "/deploys?status=running");
        running = Math.max(running, list.body.deploys.length);
      }
    })();
    const ended = await Promise.all(ids.map((id) => host.ended(id)));
    watching.abort();
    await watch;
    expect(running).toBe(1);
    const statuses = ended.map((deploy) => deploy.status);
    expect(statuses.filter((status) => status === "succeeded").length).toBeGreaterThanOrEqual(2);
    expect(new Set(statuses)).toEqual(new Set(["succeeded", "superseded"]));
    for (const deploy of ended.filter(({ status }) => status === "superseded"))
      expect(ids).toContain(deploy.supersededBy);
    for (const [n, name] of names.entries()) {
      const app = await host.call<{ live: { sha: string } }>("GET", `/apps/${name}`);
      expect(JSON.stringify(app.body)).toContain((shas[n] as string[])[49]);
      const page = await fetch(`http://127.0.0.1:${ports[name]}/`).then((response) => response.text());
      expect(page).toContain(`ok ${name}-49 `);
    }
  });

  it("refuses with 401 and leaves no trace in the queue", async () => {
    const body = pushBody("api", repos.api.head());
    const good = hmac(body, host.secret);
    const before = await host.call<{ deploys: DeployAnswer[] }>("GET", "/deploys?limit=100");
    const attempts: Record<string, [string, Record<string, string>]> = {
      "no signature": [body, {}],
      "wrong secret": [body, { "x-hub-signature-256": hmac(body, "some sixteen bytes and more") }],
      "another app's secret": [body, { "x-hub-signature-256": hmac(body, secretOf("web")) }],
      "SHA-1": [body, { "x-hub-signature": hmac(body, host.secret, "sha1") }],
      truncated: [body, { "x-hub-signature-256": good.slice(0, -8) }],
      "the secret itself": [body, { "x-hub-signature-256": host.secret }],
      "one byte changed": [body.replace("for api", "for apj"), { "x-hub-signature-256": good }],
    };
    for (const [name, [sent, headers]] of Object.entries(attempts)) {
      const answer = await host.post<{ hint: string; code: string }>(sent, {
        "x-github-event": "push",
        ...headers,
      });
      // So many at once from one address may be told to wait, once they have failed.
      expect([401, 429], name).toContain(answer.status);
      expect(answer.headers.get("content-type")).toContain("application/problem+json");
      if (name === "the secret itself") expect(answer.body.hint).toMatch(/sign|HMAC/i);
      expect(JSON.stringify(answer.body)).not.toContain(host.secret);
    }
    const after = await host.call<{ deploys: DeployAnswer[] }>("GET", "/deploys?limit=100");
    expect(after.body.deploys.map((deploy) => deploy.id)).toEqual(
      before.body.deploys.map((deploy) => deploy.id),
    );
    const fresh = repos.api.commit({ note: "signed in between" });
    expect((await deliver("api", fresh)).status).toBe(202);
  });

  it("a repeated delivery is answered with its deploy, a failed one runs again", async () => {
    const sha = repos.api.commit({ "migration-fails": "" }, "its migration fails");
    const first = await deliver("api", sha, "repeated");
    expect(first.status).toBe(202);
    expect((await host.ended(first.body.id)).status).toBe("failed");

    const again = await deliver("api", sha, "repeated");
    expect(again.status).toBe(202);
    expect(again.body.id).not.toBe(first.body.id);
    expect((await host.ended(again.body.id)).attempt).toBe(2);

    const fixed = repos.api.commit({ "migration-fails": null, note: "fixed" }, "fixed");
    const good = await deliver("api", fixed, "good");
    expect((await host.ended(good.body.id)).status).toBe("succeeded");
    const duplicate = await deliver("api", fixed, "good");
    expect(duplicate.status).toBe(200);
    expect(duplicate.body).toMatchObject({ id: good.body.id, duplicate: true });
    expect(duplicate.body.token).toBeUndefined();
  });

  it("a push replayed after a newer one is live ends skipped", async () => {
    const older = repos.api.commit({ note: "older" }, "older");
    expect((await host.ended((await deliver("api", older)).body.id)).status).toBe("succeeded");
    const newer = repos.api.commit({ note: "newer" }, "newer");
    expect((await host.ended((await deliver("api", newer)).body.id)).status).toBe("succeeded");
    // The id is not signed: an attacker may choose a new one, and so may white space in the body.
    const body = `${pushBody("api", older)} `;
    const replayed = await host.post<DeployAnswer>(body, {
      "x-github-event": "push",
      "x-github-delivery": "chosen-freely",
      "x-hub-signature-256": hmac(body, host.secret),
    });
    expect(replayed.status).toBe(202);
    const ended = await host.ended(replayed.body.id);
    expect(ended.status).toBe("skipped");
    expect(ended.error?.message).toBeTruthy();
    const live = await host.call("GET", "/apps/api");
    expect(JSON.stringify(live.body)).toContain(newer);
  });
});

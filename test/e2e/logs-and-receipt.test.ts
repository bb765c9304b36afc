import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createParser } from "eventsource-parser";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type DeployAnswer, type Host } from "../support/host.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

const lines = 5000;
/** Half of its lines, then it waits for the file `go`: so that a reader is there while it runs. */
const build = (go: string) => `
import { existsSync } from "node:fs";
for (let i = 1; i <= ${lines / 2}; i++) console.log("line " + i + " \\u001b[32mgreen\\u001b[0m");
while (!existsSync(${JSON.stringify(go)})) await new Promise((resolve) => setTimeout(resolve, 20));
for (let i = ${lines / 2 + 1}; i <= ${lines}; i++) console.log("line " + i + " \\u001b[32mgreen\\u001b[0m");
`;

describe("what a deploy leaves to read", () => {
  let host: Host;
  let repo: Repo;
  let port: number;
  let go: string;

  beforeAll(async () => {
    host = await createHost();
    port = await freePort();
    go = join(host.dir, "go");
    repo = createRepo(host.dir, "api");
    host.addApp("api", {
      repository: repo.url,
      port,
      build: "node build.js",
      health: { path: "/", successes: 2, soak: "300ms", watch: "6s", ready: "20s" },
      pm2: { script: "server.js", instances: 2 },
    });
    await host.start();
    writeFileSync(go, "");
    const first = { ...appFiles({ kind: "http", release: "one", port }), "build.js": build(go) };
    expect(await host.deploy(repo.fullName, repo.commit(first))).toMatchObject({ status: "succeeded" });
  });
  afterAll(() => host?.end());

  interface Seen {
    id: string;
    event: string;
    data: { text?: string; line?: number; status?: string };
  }

  /** Reads events until `enough` says so, then cuts the connection. */
  async function read(
    id: string,
    after: string | undefined,
    enough: (event: Seen) => boolean,
  ): Promise<Seen[]> {
    const cut = new AbortController();
    const response = await fetch(`${host.url}/deploys/${id}/events`, {
      headers: { authorization: `Bearer ${host.token}`, ...(after && { "last-event-id": after }) },
      signal: cut.signal,
    });
    const seen: Seen[] = [];
    let over = false;
    const parser = createParser({
      onEvent({ id = "", event = "", data }) {
        if (over) return;
        const one = { id, event, data: JSON.parse(data) };
        seen.push(one);
        over = enough(one);
      },
    });
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      parser.feed(decoder.decode(chunk as Uint8Array, { stream: true }));
      if (over) break;
    }
    cut.abort();
    return seen;
  }

  it("promise 7: every line, live and later", async () => {
    rmSync(go, { force: true });
    const sha = repo.commit({ ...appFiles({ kind: "http", release: "two", port }), "build.js": build(go) });
    const { body: pushed } = await host.push(repo.fullName, sha);

    // Live: the first half is read while the build cannot have gone on.
    const first = await read(
      pushed.id,
      undefined,
      ({ data }) => data.text?.startsWith(`line ${lines / 2} `) === true,
    );
    expect((await host.call<DeployAnswer>("GET", `/deploys/${pushed.id}`)).body.status).toBe("running");
    writeFileSync(go, "");
    const second = await read(
      pushed.id,
      first.at(-1)?.id,
      ({ data }) => data.text?.startsWith("line 4000 ") === true,
    );
    const rest = await read(pushed.id, second.at(-1)?.id, ({ event }) => event === "end");
    expect(rest.at(-1)?.data.status).toBe("succeeded");

    const all = [...first, ...second, ...rest].slice(0, -1);
    expect(all.map(({ id }) => Number(id))).toEqual(all.map((_, index) => index + 1));
    const logged = all.filter(({ event }) => event === "log").map(({ data }) => data);
    expect(logged.map(({ line }) => line)).toEqual(logged.map((_, index) => index + 1));
    const built = logged.filter(({ text }) => /^line \d+ /.test(text ?? "")).map(({ text }) => text);
    expect(built).toEqual(Array.from({ length: lines }, (_, i) => `line ${i + 1} \u001b[32mgreen\u001b[0m`));

    // Later: the same again, as text and as events, from the start and from any line.
    const text = await host.logOf(pushed.id);
    expect(text.trimEnd().split("\n")).toEqual(logged.map((one) => one.text));
    const tail = await fetch(`${host.url}/deploys/${pushed.id}/logs?after=${logged.length - 3}`, {
      headers: { authorization: `Bearer ${host.token}` },
    }).then((response) => response.text());
    expect(tail.trimEnd().split("\n")).toEqual(logged.slice(-3).map((one) => one.text));
    const again = await read(pushed.id, undefined, ({ event }) => event === "end");
    expect(again.slice(0, -1)).toEqual(all);
  });

  it("promise 9: every deploy carries its receipt, also a bad one", async () => {
    const files = appFiles({ kind: "http", release: "three", port });
    const ill = join(host.dir, "ill");
    // Both instances answer 500 while the file is there: users see it, and so must the receipt.
    const server = `${files["server.js"]}
import { existsSync } from "node:fs";
const listeners = server.listeners("request");
server.removeAllListeners("request");
server.on("request", (req, res) => {
  if (process.env.DROPLESS_PREFLIGHT !== "1" && existsSync(${JSON.stringify(ill)})) {
    res.statusCode = 500;
    return res.end("ill");
  }
  for (const listener of listeners) listener(req, res);
});
`;
    const sha = repo.commit({ ...files, "server.js": server });
    const { body: pushed } = await host.push(repo.fullName, sha);
    expect(await host.reached(pushed.id, "watch")).toBe(true);
    writeFileSync(ill, "");
    const deploy = await host.ended(pushed.id);
    rmSync(ill);
    expect(deploy).toMatchObject({ status: "rolled_back", error: { step: "watch" } });
    expect(deploy.receipt?.failed).toBeGreaterThan(0);
    expect(deploy.receipt?.probes).toBeGreaterThan(deploy.receipt?.failed ?? 0);
    expect(await host.logOf(deploy.id)).toMatch(/receipt: .*failed/i);

    const good = await host.deploy(
      repo.fullName,
      repo.commit(appFiles({ kind: "http", release: "four", port })),
    );
    expect(good).toMatchObject({ status: "succeeded", receipt: { failed: 0 } });
    expect(good.receipt?.probes).toBeGreaterThan(10);
  });
});

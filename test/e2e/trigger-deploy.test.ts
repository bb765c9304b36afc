import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { freePort, tempDir } from "../support/temp.js";

const script = join(import.meta.dirname, "../../scripts/trigger-deploy.sh");
// A quote, a dollar, a percent and a backslash: what shells, formats and JSON stumble over.
const secret = `It's a "$ecret" to %s \\ everybody`;

const onPath = (name: string): boolean =>
  (process.env.PATH ?? "").split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
const shells = ["sh", "dash", "bash"].filter(onPath);
const ready = onPath("curl") && onPath("openssl");

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;
let handler: Handler;
let posts: { body: string; signature: string | undefined }[] = [];
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.method === "POST")
    posts.push({ body, signature: request.headers["x-hub-signature-256"] as string });
  handler(request, response, body);
});
let url = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  posts = [];
});

const answer = (response: ServerResponse, status: number, body: unknown) =>
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

async function run(options: { shell?: string; args?: string[]; env?: Record<string, string> } = {}) {
  const child = spawn(options.shell ?? "sh", [script, ...(options.args ?? [])], {
    cwd: tempDir("trigger"),
    env: {
      PATH: process.env.PATH ?? "",
      DROPLESS_URL: url,
      DROPLESS_SECRET: secret,
      GITHUB_REPOSITORY: "acme/api",
      GITHUB_REF: "refs/heads/main",
      GITHUB_SHA: "a".repeat(40),
      GITHUB_RUN_ID: "123",
      GITHUB_RUN_ATTEMPT: "2",
      ...options.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  expect(out + err).not.toContain(secret);
  return { code, out, err };
}

const accepted = { id: "d1", app: "api", status: "queued", position: 1, token: "read-d1" };
const ended = (id: string, more: object) => ({
  id,
  app: "api",
  commit: { sha: "a".repeat(40), message: 'says "token":"wrong", [1,{2}] \\ done\nand more' },
  steps: [{ name: "fetch", status: "failed" }],
  logTail: ["] } tricky"],
  ...more,
});

describe.each(ready ? shells : [])("trigger-deploy.sh in %s", (shell) => {
  it("shows GitHub's identity token in place of a secret, a new one for each attempt", async () => {
    const seen: (string | undefined)[] = [];
    const asked: (string | undefined)[] = [];
    handler = (request, response) => {
      if (request.url?.startsWith("/identity")) {
        asked.push(request.headers.authorization, decodeURIComponent(request.url));
        return answer(response, 200, { count: 1, value: `h.${seen.length}.s` });
      }
      seen.push(request.headers.authorization);
      if (seen.length === 1) return answer(response, 503, { code: "stopping" });
      return answer(response, 202, accepted);
    };
    const env = {
      DROPLESS_SECRET: "",
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/identity?api=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "runner-token",
    };
    const args = ["--audience", "deploy.example.com/a", "--no-follow"];
    const { code, out } = await run({ shell, args, env });
    expect([code, out]).toEqual([0, "==> deploy d1 of api accepted\n"]);
    expect(asked.slice(0, 2)).toEqual([
      "bearer runner-token",
      "/identity?api=1&audience=deploy.example.com/a",
    ]);
    expect(seen).toEqual(["Bearer h.0.s", "Bearer h.1.s"]);
    expect(posts.map(({ signature }) => signature)).toEqual([undefined, undefined]);
    const without = await run({ shell, args, env: { DROPLESS_SECRET: "" } });
    expect([without.code, without.err]).toEqual([2, expect.stringContaining("id-token: write")]);
  });

  it("signs what an Actions job is, shows the log and exits 0", async () => {
    handler = (request, response) => {
      if (request.method === "POST") return answer(response, 202, accepted);
      if (request.headers.authorization !== "Bearer read-d1")
        return answer(response, 401, { code: "unauthorized" });
      if (request.url?.includes("/logs"))
        return response.end(request.url.includes("after=0") ? "one\n  two \\n %s\n" : "");
      return answer(
        response,
        200,
        ended("d1", { status: "succeeded", receipt: { probes: 12, failed: 0, maxGapMs: 31 } }),
      );
    };
    const { code, out, err } = await run({ shell });
    expect(err).toBe("");
    expect(out.split("\n")).toEqual([
      "==> deploy d1 of api",
      "one",
      "  two \\n %s",
      "✔ api is live: aaaaaaa",
      "  receipt: 12 requests probed, 0 failed, longest gap 31 ms",
      "",
    ]);
    expect(code).toBe(0);
    expect(posts).toHaveLength(1);
    const [post] = posts;
    expect(JSON.parse(post?.body ?? "")).toEqual({
      repository: "acme/api",
      ref: "refs/heads/main",
      sha: "a".repeat(40),
      delivery: "123-2",
    });
    expect(post?.signature).toBe(
      `sha256=${createHmac("sha256", secret)
        .update(post?.body ?? "")
        .digest("hex")}`,
    );
  });

  it("takes the log up where the connection broke, follows what supersedes, and exits 1 with the reason", async () => {
    let asked = 0;
    handler = (request, response) => {
      const path = request.url ?? "";
      if (request.method === "POST") return answer(response, 202, accepted);
      if (path.startsWith("/deploys/d2/logs")) return response.end(path.includes("after=0") ? "of d2\n" : "");
      if (path === "/deploys/d2")
        return answer(
          response,
          200,
          ended("d2", {
            status: "failed",
            error: { code: "build_failed", message: 'The build said "no"', hint: "Mend it." },
          }),
        );
      if (path.includes("/logs")) {
        if (!path.includes("follow=1")) return response.end(path.includes("after=3") ? "four\n" : "");
        if (asked++ === 0) {
          // Two whole lines and a half, then the line is cut.
          response.writeHead(200);
          return response.write("one\ntwo\nthr", () => response.destroy());
        }
        return response.end(path.includes("after=2") ? "three\n" : "");
      }
      if (asked < 2) return answer(response, 200, ended("d1", { status: "running" }));
      return answer(response, 200, ended("d1", { status: "superseded", supersededBy: "d2" }));
    };
    const { code, out, err } = await run({ shell });
    expect(out.split("\n").slice(0, -1)).toEqual([
      "==> deploy d1 of api",
      "one",
      "two",
      "three",
      "four",
      "→ superseded by d2, which stands for both",
      "==> deploy d2 of api",
      "of d2",
    ]);
    expect(err).toBe('✘ api: failed: The build said "no" [build_failed]\n  → Mend it.\n');
    expect(code).toBe(1);
  });
});

describe.each(ready ? ["sh"] : [])("what trigger-deploy.sh says when there is no deploy", (shell) => {
  const problem = (status: number, code: string) => {
    handler = (_request, response) =>
      answer(response, status, {
        status,
        code,
        detail: `The detail of ${code}`,
        hint: `The hint of ${code}`,
        title: "",
      });
  };

  it.each([
    [401, "unauthorized", 2],
    [404, "not_found", 2],
    [409, "held", 1],
  ])("%i: the daemon's words, and exit code %s → %i", async (status, code, exit) => {
    problem(status, code);
    const ended = await run({ shell });
    expect(ended.err).toBe(`✘ The detail of ${code} [${code}]\n  → The hint of ${code}\n`);
    expect(ended.code).toBe(exit);
  });

  it("something else answers at the address: says so and exits 2", async () => {
    handler = (_request, response) =>
      response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not found</h1>");
    const { code, err } = await run({ shell });
    expect(err).toMatch(/webhooks\/deploy[\s\S]*\[not_found\][\s\S]*→ Compare DROPLESS_URL/);
    expect(code).toBe(2);
  });

  it("nobody answers: exits 3 when the patience is used up", async () => {
    const { code, err } = await run({
      shell,
      args: ["--url", `http://127.0.0.1:${await freePort()}`, "--patience", "1"],
    });
    expect(err).toContain("[no_daemon]");
    expect(code).toBe(3);
  });

  it("a restart between two attempts is waited for; its lost answer costs no second delivery's outcome", async () => {
    let attempt = 0;
    handler = (request, response, body) => {
      if (request.method !== "POST") {
        if (request.url?.includes("/logs")) return response.end();
        return answer(
          response,
          200,
          ended("d2", { status: "skipped", error: { code: "live", message: "It is live", hint: "" } }),
        );
      }
      attempt++;
      if (attempt === 1) return response.destroy();
      if (JSON.parse(body).delivery === "123-2")
        return answer(response, 200, { id: "d1", app: "api", status: "running", duplicate: true });
      return answer(response, 202, { ...accepted, id: "d2" });
    };
    const { code, out } = await run({ shell });
    expect(posts.map(({ body }) => JSON.parse(body).delivery)).toEqual(["123-2", "123-2", "123-2-again"]);
    expect(out).toContain("○ api needed no deploy: It is live");
    expect(code).toBe(0);
  });

  it("an ignored request is no failure, but is said", async () => {
    handler = (_request, response) => answer(response, 200, { ignored: "the branch is not the app's" });
    const { code, out } = await run({ shell });
    expect(out).toBe("○ ignored: the branch is not the app's\n");
    expect(code).toBe(0);
  });

  it("in Actions a build's output cannot give the runner commands", async () => {
    handler = (request, response) => {
      if (request.method === "POST") return answer(response, 202, accepted);
      if (request.url?.includes("/logs"))
        return response.end(request.url.includes("after=0") ? "::set-env name=X::y\n" : "");
      return answer(response, 200, ended("d1", { status: "succeeded" }));
    };
    const { out } = await run({ shell, env: { GITHUB_ACTIONS: "true" } });
    const [, token] = /::stop-commands::([0-9a-f]{32})\n/.exec(out) ?? [];
    expect(token).toBeDefined();
    expect(out.indexOf("::set-env")).toBeGreaterThan(out.indexOf("::stop-commands::"));
    expect(out.indexOf("::set-env")).toBeLessThan(out.indexOf(`\n::${token}::`));
  });

  it("asks for what is missing instead of guessing", async () => {
    const without = await run({ shell, env: { DROPLESS_SECRET: "" } });
    expect(without.err).toContain("There is no secret");
    expect(without.code).toBe(2);
    expect((await run({ shell, env: { GITHUB_SHA: "$(id)" } })).code).toBe(2);
    expect((await run({ shell, args: ["--secret", "x"] })).code).toBe(2);
  });

  it("the secret is in no process's arguments or environment while it works", async () => {
    // The children are looked at while curl waits for an answer that does not come.
    const held = createNetServer();
    await new Promise<void>((resolve) => held.listen(0, "127.0.0.1", resolve));
    const connected = new Promise<void>((resolve) =>
      held.once("connection", (socket) => {
        socket.on("error", () => {});
        const seen = processes();
        expect(seen.some((text) => text.includes("curl"))).toBe(true);
        for (const text of seen.filter((line) => line.includes("curl"))) expect(text).not.toContain("to %s");
        socket.destroy();
        resolve();
      }),
    );
    const running = run({
      shell,
      args: ["--url", `http://127.0.0.1:${(held.address() as AddressInfo).port}`, "--patience", "0"],
    });
    await connected;
    expect((await running).code).toBe(3);
    await new Promise((resolve) => held.close(resolve));
  });
});

/** Arguments and environment of every process one may look at. */
const processes = (): string[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, "utf8") + readFileSync(`/proc/${pid}/environ`, "utf8")];
      } catch {
        return [];
      }
    });

describe.each(ready ? [] : ["sh"])("trigger-deploy.sh without its tools, in %s", (shell) => {
  it("says which one is missing", async () => {
    const { code, err } = await run({ shell });
    expect(err).toContain("is not installed");
    expect(code).toBe(2);
  });
});

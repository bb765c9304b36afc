import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { createHost, type Host } from "../support/host.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";

const main = join(import.meta.dirname, "../../dist/main.js");

describe("bad input: a clear sentence and a hint, nothing lost, no stack", () => {
  let host: Host;
  let repo: Repo;

  beforeAll(async () => {
    host = await createHost();
    repo = createRepo(host.dir, "api");
    const port = await freePort();
    repo.commit(appFiles({ kind: "http", release: "one", port }), "one");
    const block = { port, pm2: { script: "server.js", instances: 1 } };
    host.addApp("api", { ...block, repository: repo.url });
    host.addApp("no-branch", { ...block, repository: repo.url, branch: "not-there", port: await freePort() });
    host.addApp("no-repo", {
      ...block,
      repository: join(host.dir, "acme", "gone.git"),
      port: await freePort(),
    });
    await host.start();
  });
  afterAll(() => host?.end());

  const run = (config: string) =>
    new Promise<{ code: number | string | null | undefined; stdout: string; stderr: string }>((resolve) =>
      execFile(process.execPath, [main, "--config", config], { env: host.env }, (error, stdout, stderr) =>
        resolve({ code: error ? error.code : 0, stdout, stderr }),
      ),
    );
  const readable = (text: string) => expect(text).not.toMatch(/\n\s+at .+:\d+:\d+/);

  it("a configuration with several faults names all of them, each with its place", async () => {
    const file = join(host.dir, "faulty.yaml");
    writeFileSync(
      file,
      "server: { prot: 9000 }\napps:\n  api:\n    repository: x\n    health: { soak: 5 }\n    pm2: {}\n",
    );
    const { code, stderr } = await run(file);
    expect(code).toBe(2);
    for (const fault of ["server.prot", "apps.api.root", "apps.api.health.soak", "apps.api.pm2"])
      expect(stderr).toContain(fault);
    expect(stderr).toContain("[config_invalid]");
    readable(stderr);
  });

  it("a port that is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const address = other.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const file = join(host.dir, "taken.yaml");
    writeFileSync(
      file,
      `dataDir: ${join(host.dir, "other-data")}\nserver: { port: ${port} }\napps: { a: { root: a, repository: ./a, pm2: { script: a.js } } }\n`,
    );
    const { code, stderr } = await run(file);
    other.close();
    expect(code).toBe(2);
    expect(stderr).toContain(`${port}`);
    expect(stderr).toContain("[port_taken]");
    readable(stderr);
  });

  it("a second daemon on the same data folder", async () => {
    const { code, stderr } = await run(host.configFile);
    expect(code).toBe(2);
    expect(stderr).toContain(`${host.pid()}`);
    expect(stderr).toContain("[data_dir_in_use]");
    readable(stderr);
  });

  it.each([
    ["an unreadable body", "{not json", 400],
    ["an empty body", "", 400],
    ["a body that is not UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400],
    [
      "an unknown repository",
      `{"ref":"refs/heads/main","after":"${"a".repeat(40)}","repository":{"full_name":"acme/unknown"}}`,
      404,
    ],
  ])("%s", async (_name, body, status) => {
    const response = await fetch(`${host.url}/webhooks/deploy`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": `bad-${status}`,
        "x-hub-signature-256": host.sign(body),
      },
      body,
    });
    const answer = (await response.json()) as { code: string; hint: string; detail?: string };
    expect(response.status).toBe(status);
    expect(answer.code).toBeTruthy();
    expect(answer.hint.length).toBeGreaterThan(10);
    readable(JSON.stringify(answer));
  });

  it("an unknown app asked for by a person", async () => {
    const answer = await host.call<{ code: string; hint: string }>("POST", "/deploys", { app: "nothing" });
    expect(answer.status).toBe(404);
    expect(answer.body.hint.length).toBeGreaterThan(10);
  });

  it.each([
    ["no-branch", "branch_not_found"],
    ["no-repo", "git_unreachable"],
  ])("a deploy of %s fails in the fetch, with %s", async (app, code) => {
    const asked = await host.call<{ id: string }>("POST", "/deploys", { app });
    expect(asked.status).toBe(202);
    const deploy = await host.ended(asked.body.id);
    expect(deploy.status).toBe("failed");
    expect(deploy.error?.step).toBe("fetch");
    expect(deploy.error?.code).toBe(code);
    expect(deploy.error?.hint.length).toBeGreaterThan(10);
    readable(await host.logOf(deploy.id));
  });

  it("and the daemon goes on", async () => {
    expect(await host.deploy(repo.fullName, repo.head())).toMatchObject({ status: "succeeded" });
  });
});

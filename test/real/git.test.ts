import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createGit, type GitOptions } from "../../src/adapters/git.js";
import { memoryLog } from "../support/log.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort, makeTempDir, removeTempDir, tempDir } from "../support/temp.js";

const io = (signal = new AbortController().signal) => ({ log: memoryLog(), signal });

const gitOf = (root: string, repository: string, options: Partial<GitOptions> = {}, branch = "main") =>
  createGit({
    app: { root, repository, branch },
    env: { PATH: process.env.PATH, HOME: root, GIT_DIR: "/nowhere", GIT_ASKPASS: "/bin/false" },
    backoffMs: [10, 10],
    ...options,
  });

describe("a mirror", () => {
  let dir: string;
  let repo: Repo;
  let root: string;
  let first: string;
  let second: string;
  let side: string;
  let merged: string;
  beforeAll(() => {
    dir = makeTempDir("git");
    repo = createRepo(dir);
    root = join(dir, "root");
    mkdirSync(root);
    first = repo.commit({ "a.txt": "1", "apps/api/x.js": "1" }, "one\n\nwhy");
    repo.tag("v1");
    repo.branch("side");
    side = repo.commit({ "side.txt": "1" });
    repo.branch("main");
    second = repo.commit({ "apps/api/x.js": "2", "with space\n.txt": "2" });
    merged = repo.merge("side");
    repo.branch("elsewhere", first);
    repo.commit({ "else.txt": "1" });
    repo.branch("main");
  });
  afterAll(() => removeTempDir(dir));

  test("answers what the order of commits asks", async () => {
    const git = gitOf(root, repo.url);
    await git.fetch(io());
    expect(await git.head()).toBe(merged);
    expect(await git.resolve("v1")).toBe(first);
    expect(await git.resolve("refs/heads/side")).toBe(side);
    expect(await git.resolve(second.slice(0, 8))).toBe(second);
    expect(await git.contains(merged, side)).toBe(true);
    expect(await git.contains(side, second)).toBe(false);
    expect(await git.contains(merged, "0".repeat(40))).toBe(false);
    expect(await git.newest([first, merged, second, side])).toBe(merged);
    expect(await git.newest([first, side])).toBe(side);
    expect(await git.newest([second, side])).toBeUndefined();
    expect((await git.changedFiles(first, merged))?.sort()).toEqual(
      ["apps/api/x.js", "side.txt", "with space\n.txt"].sort(),
    );
    expect(await git.changedFiles("f".repeat(40), merged)).toBeUndefined();
    expect(await git.commit(first)).toEqual({ sha: first, author: "Ada Example", message: "one\n\nwhy" });
    repo.commit({}, "\u001b[2Jboo\u202e\n\nbody");
    await git.fetch(io());
    expect((await git.commit(repo.head())).message).toBe("[2Jboo \n\nbody");
    const elsewhere = await git.resolve("elsewhere");
    expect(await git.onBranch([elsewhere, first, "0".repeat(40), "--help", side])).toEqual([first, side]);
    await expect(git.onBranch([elsewhere])).rejects.toMatchObject({ code: "commit_not_on_branch" });
    await expect(git.onBranch(["0".repeat(40)])).rejects.toMatchObject({ code: "commit_not_found" });
  });

  test("what is no name of a commit is not found, and is never an option or an expression of git", async () => {
    const git = gitOf(root, repo.url);
    await git.fetch(io());
    const names = [
      "nowhere",
      "--output=x",
      "main~1",
      "main@{1}",
      "v1..main",
      ":/one",
      "../../etc",
      "refs/heads/-x",
      "-h",
      "$(id)",
    ];
    for (const name of names)
      await expect(git.resolve(name), name).rejects.toMatchObject({ code: "commit_not_found" });
  });

  test("follows a forced push and a deleted branch, and names the branch that is missing", async () => {
    const own = createRepo(join(dir, "forced"));
    const one = own.commit({ a: "1" });
    const two = own.commit({ a: "2" });
    const ownRoot = join(dir, "forced-root");
    const git = gitOf(ownRoot, `file://${own.url}`);
    await git.fetch(io());
    expect(await git.head()).toBe(two);
    own.reset(one);
    await git.fetch(io());
    expect(await git.head()).toBe(one);
    await expect(git.onBranch([two])).rejects.toMatchObject({ code: "commit_not_on_branch" });
    own.branch("other");
    own.push();
    own.git(`--git-dir=${own.url}`, "update-ref", "-d", "refs/heads/main");
    await expect(git.fetch(io())).rejects.toMatchObject({
      code: "branch_not_found",
      message: expect.stringContaining("no branch main"),
    });
  });

  test("checks a commit out: files, modes and links as they are, no .git, nothing through a link", async () => {
    const own = createRepo(join(dir, "files"));
    const outside = join(dir, "outside");
    mkdirSync(outside);
    const sha = own.commit({
      "run.sh": { text: "#!/bin/sh\n", mode: 0o755 },
      "deep/er/file": "text",
      away: { link: outside },
      ".gitattributes": "ignored.txt export-ignore\n*.bin filter=lfs\n",
      "ignored.txt": "still here",
    });
    const ownRoot = join(dir, "files-root");
    const git = gitOf(ownRoot, own.url);
    await git.fetch(io());
    const into = join(ownRoot, "releases", "one");
    mkdirSync(into, { recursive: true });
    const to = io();
    await git.checkout(sha, into, to);
    expect(readdirSync(into).sort()).toEqual([".gitattributes", "away", "deep", "ignored.txt", "run.sh"]);
    expect(statSync(join(into, "run.sh")).mode & 0o111).not.toBe(0);
    expect(lstatSync(join(into, "away")).isSymbolicLink()).toBe(true);
    expect(readlinkSync(join(into, "away"))).toBe(outside);
    expect(readFileSync(join(into, "deep/er/file"), "utf8")).toBe("text");
    expect(readdirSync(outside)).toEqual([]);
    expect(to.log.text()).toContain("LFS");

    // The next one starts from nothing, not from the last one's index.
    const again = join(ownRoot, "releases", "two");
    mkdirSync(again);
    await git.checkout(sha, again, io());
    expect(readdirSync(again).sort()).toEqual(readdirSync(into).sort());
  });

  test("survives what a killed git left: locks, half a pack, a damaged object", async () => {
    const own = createRepo(join(dir, "left"));
    own.commit({ a: "1" });
    const ownRoot = join(dir, "left-root");
    const git = gitOf(ownRoot, own.url);
    await git.fetch(io());
    const mirror = join(ownRoot, "repo");
    const sha = own.commit({ a: "2" });
    for (const lock of ["config.lock", "packed-refs.lock", "HEAD.lock", "refs/heads/main.lock"])
      writeFileSync(join(mirror, lock), "");
    writeFileSync(join(mirror, "objects/pack/tmp_pack_x"), "half");
    await git.fetch(io());
    expect(await git.head()).toBe(sha);
    expect(existsSync(join(mirror, "objects/pack/tmp_pack_x"))).toBe(false);

    for (const name of readdirSync(join(mirror, "objects"), { recursive: true, encoding: "utf8" })) {
      const path = join(mirror, "objects", name);
      if (!statSync(path).isFile()) continue;
      chmodSync(path, 0o600);
      truncateSync(path, 0);
    }
    own.commit({ a: "3" });
    const to = io();
    await git.fetch(to);
    expect(await git.head()).toBe(own.head());
    expect(to.log.text()).toContain("anew");
  });

  test("attributes that are a link to what never ends do not hold the checkout up", async () => {
    const own = createRepo(join(dir, "endless"));
    own.commit({ a: "1", ".gitattributes": { link: "/dev/zero" } });
    const git = gitOf(join(dir, "endless-root"), own.url);
    await git.fetch(io());
    const into = join(dir, "endless-root", "out");
    mkdirSync(into);
    await expect(git.checkout(own.head(), into, io())).resolves.toBeUndefined();
  });

  test("no hook of a template folder runs", async () => {
    const own = createRepo(join(dir, "hooked"));
    own.commit({ a: "1" });
    const home = join(dir, "hooked-home");
    const hooks = join(home, "template", "hooks");
    mkdirSync(hooks, { recursive: true });
    for (const hook of ["reference-transaction", "post-checkout", "post-index-change"]) {
      writeFileSync(join(hooks, hook), `#!/bin/sh\ntouch ${home}/ran\n`);
      chmodSync(join(hooks, hook), 0o755);
    }
    writeFileSync(join(home, ".gitconfig"), `[init]\n\ttemplateDir = ${home}/template\n`);
    const git = gitOf(join(dir, "hooked-root"), own.url, { env: { PATH: process.env.PATH, HOME: home } });
    await git.fetch(io());
    const into = join(dir, "hooked-root", "out");
    mkdirSync(into);
    await git.checkout(own.head(), into, io());
    expect(existsSync(join(home, "ran"))).toBe(false);
  });
});

describe("an origin that does not answer as it should", () => {
  /** A port that greets every connection in its own way, and counts them. */
  const broken = async (greet: (socket: import("node:net").Socket) => void) => {
    let connections = 0;
    const server: Server = createServer((socket) => {
      connections++;
      socket.on("error", () => {});
      greet(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as import("node:net").AddressInfo;
    return { port, connections: () => connections };
  };
  const answer =
    (status: string, headers = "") =>
    (socket: import("node:net").Socket) =>
      void socket.once("data", () =>
        socket.end(`HTTP/1.1 ${status}\r\n${headers}Content-Length: 0\r\nConnection: close\r\n\r\n`),
      );

  test("a repository that is not there is told at once", async () => {
    const to = io();
    await expect(gitOf(tempDir(), "/no/such/repo.git").fetch(to)).rejects.toMatchObject({
      code: "git_unreachable",
      message: expect.stringContaining("/no/such/repo.git"),
    });
    const gone = await broken(answer("404 Not Found"));
    const fetched = gitOf(tempDir(), `http://127.0.0.1:${gone.port}/acme/api.git`).fetch(to);
    await expect(fetched).rejects.toMatchObject({ code: "git_unreachable" });
    expect(to.log.text()).toBe("");
  });

  test.each([
    ["as git's own client sees it", "<!DOCTYPE html>\n<html>\n<body>Sign in</body>\n</html>\n"],
    ["as an empty repository, to git", "<html>Welcome to the captive portal</html>"],
  ])("a page of HTML is told at once as no repository, %s", async (_, page) => {
    const server = await broken((socket) =>
      socket.once("data", () =>
        socket.end(
          `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\nConnection: close\r\n\r\n${page}`,
        ),
      ),
    );
    const to = io();
    const fetched = gitOf(tempDir(), `http://127.0.0.1:${server.port}/acme/api.git`).fetch(to);
    await expect(fetched).rejects.toMatchObject({
      message: expect.stringContaining("no repository"),
      hint: expect.stringContaining("Check the app's `repository`"),
    });
    expect(to.log.text()).toBe("");
  });

  test("a git daemon: serves, hangs, goes on, and is gone", async () => {
    const dir = tempDir();
    const own = createRepo(dir);
    own.commit({ a: "1" });
    const port = await freePort();
    const daemon = spawn(
      "git",
      [
        "daemon",
        "--listen=127.0.0.1",
        `--port=${port}`,
        `--base-path=${dir}`,
        "--export-all",
        "--reuseaddr",
        dir,
      ],
      { stdio: "ignore", detached: true },
    );
    const end = () => {
      try {
        process.kill(-(daemon.pid as number), "SIGKILL");
      } catch {
        // It has ended.
      }
    };
    onTestFinished(end);
    const url = `git://127.0.0.1:${port}/${own.url.slice(dir.length + 1)}`;
    const root = join(dir, "root");
    const patient = gitOf(root, url, { backoffMs: Array(200).fill(50) });
    const hasty = gitOf(root, url, { stallMs: 300 });
    // Until it listens.
    await patient.fetch(io());
    const one = own.head();
    expect(await patient.head()).toBe(one);

    process.kill(-(daemon.pid as number), "SIGSTOP");
    const two = own.commit({ a: "2" });
    await expect(hasty.fetch(io())).rejects.toMatchObject({
      code: "git_unreachable",
      message: expect.stringContaining("3 attempts"),
    });
    // What was fetched before is still there to go back to.
    expect(await hasty.head()).toBe(one);
    process.kill(-(daemon.pid as number), "SIGCONT");
    await patient.fetch(io());
    expect(await patient.head()).toBe(two);

    const gone = once(daemon, "exit");
    end();
    await gone;
    const to = io();
    await expect(hasty.fetch(to)).rejects.toMatchObject({ code: "git_unreachable" });
    expect(to.log.text().match(/trying again/g)).toHaveLength(2);
  });

  test("a server that trickles, a sign of life after the other, is given up when its time is over", async () => {
    const dir = tempDir();
    const own = createRepo(dir);
    own.commit(
      Object.fromEntries(
        Array.from({ length: 40 }, (_, n) => [`f${n}`, randomBytes(30_000).toString("hex")]),
      ),
    );
    const port = await freePort();
    const daemon = spawn(
      "git",
      ["daemon", "--listen=127.0.0.1", `--port=${port}`, `--base-path=${dir}`, "--export-all", dir],
      { stdio: "ignore", detached: true },
    );
    onTestFinished(() => void process.kill(-(daemon.pid as number), "SIGKILL"));
    let paceMs = 0;
    const slow = await broken((socket) => {
      const behind = connect(port, "127.0.0.1");
      behind.on("error", () => socket.destroy());
      socket.on("close", () => behind.destroy());
      socket.pipe(behind);
      pipeline(
        behind,
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks)
            for (let at = 0; at < chunk.length; at += 4096) {
              if (paceMs > 0) await sleep(paceMs);
              yield chunk.subarray(at, at + 4096);
            }
        },
        socket,
      ).catch(() => {});
    });
    const name = own.url.slice(dir.length + 1);
    // Until it listens.
    await gitOf(join(dir, "direct"), `git://127.0.0.1:${port}/${name}`, {
      backoffMs: Array(200).fill(50),
    }).fetch(io());
    const url = `git://127.0.0.1:${slow.port}/${name}`;
    paceMs = 200;
    const to = io();
    const timedOut = gitOf(join(dir, "slow"), url, { timeoutMs: 3_000 }).fetch(to);
    await expect(timedOut).rejects.toMatchObject({
      code: "fetch_timed_out",
      hint: expect.stringContaining("timeouts.fetch"),
    });
    expect(slow.connections()).toBeLessThanOrEqual(1);
    expect(to.log.text()).not.toContain("trying again");
    paceMs = 0;
    const git = gitOf(join(dir, "slow"), url);
    await git.fetch(io());
    expect(await git.head()).toBe(own.head());
  });

  test.each(["401 Unauthorized", "403 Forbidden"])(
    "refused credentials (%s) are told at once, without the password",
    async (status) => {
      const to = io();
      const server = await broken(answer(status, "WWW-Authenticate: Basic realm=x\r\n"));
      const fault = await gitOf(tempDir(), `http://bob:s3cr3t@127.0.0.1:${server.port}/acme/api.git`)
        .fetch(to)
        .catch((thrown) => thrown);
      expect(fault).toMatchObject({ code: "git_auth" });
      expect(JSON.stringify([fault, fault.message, fault.hint]) + to.log.text()).not.toContain("s3cr3t");
      expect(to.log.text()).toBe("");
    },
  );

  test("a password in the address serves the fetch, and is in no argument and no file for others", async () => {
    const seen: string[] = [];
    const given = new Set<string>();
    const server = createHttpServer((request, response) => {
      if (!request.headers.authorization)
        return response.writeHead(401, { "www-authenticate": "Basic realm=x" }).end();
      given.add(Buffer.from(request.headers.authorization.slice("Basic ".length), "base64").toString());
      // Git and its helpers wait for this answer: what they were called with can be read.
      for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
        try {
          seen.push(readFileSync(`/proc/${pid}/cmdline`, "latin1"));
        } catch {
          // It ended in between.
        }
      response.writeHead(404).end();
    }).listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const into = join(tempDir(), "the app's root");
    const fetched = gitOf(into, `http://bob:s%23cr3t-of-bob@127.0.0.1:${port}/acme/api.git`).fetch(io());
    await expect(fetched).rejects.toMatchObject({ code: "git_unreachable" });
    expect([...given]).toEqual(["bob:s#cr3t-of-bob"]);
    expect(seen.join("\n")).toContain(`127.0.0.1:${port}/acme/api.git`);
    expect(seen.join("\n")).not.toContain("cr3t-of-bob");
    expect(readFileSync(join(into, "repo", "config"), "utf8")).not.toContain("cr3t-of-bob");
    expect(statSync(join(into, "repo")).mode & 0o777).toBe(0o700);
  });

  test("what may pass is tried three times, each try announced", async () => {
    const to = io();
    const server = await broken(answer("503 Service Unavailable"));
    const git = gitOf(tempDir(), `http://127.0.0.1:${server.port}/acme/api.git`);
    await expect(git.fetch(to)).rejects.toMatchObject({
      code: "git_unreachable",
      message: expect.stringContaining("3 attempts"),
    });
    expect(to.log.text().match(/trying again/g)).toHaveLength(2);
    expect(server.connections()).toBeGreaterThanOrEqual(3);

    const rubbish = await broken((socket) => void socket.end("\u0000\u001b[2Jnonsense\r\n\r\n"));
    const fault = await gitOf(tempDir(), `http://127.0.0.1:${rubbish.port}/x/y.git`)
      .fetch(io())
      .catch((thrown) => thrown);
    expect(fault).toMatchObject({ code: "git_unreachable" });
    expect(fault.message).not.toContain("\u001b");
  });

  test("a server that says things without end is not listened to for ever", async () => {
    const home = tempDir();
    const script = join(home, "ssh.sh");
    writeFileSync(
      script,
      '#!/bin/sh\nline=$(head -c 100000 /dev/zero | tr "\\0" .)\nwhile :; do echo "$line" >&2; done\n',
    );
    chmodSync(script, 0o755);
    writeFileSync(join(home, ".gitconfig"), `[core]\n\tsshCommand = ${script}\n[ssh]\n\tvariant = simple\n`);
    const git = gitOf(home, "ssh://git@nowhere/acme/api.git", { backoffMs: [] });
    await expect(git.fetch(io())).rejects.toMatchObject({
      code: "git_unreachable",
      message: expect.stringContaining("16 MB"),
    });
  });

  test("a server that keeps silent is given up; a cancel does not wait for it", async () => {
    const silent = await broken(() => {});
    const url = `http://127.0.0.1:${silent.port}/acme/api.git`;
    await expect(gitOf(tempDir(), url, { stallMs: 300 }).fetch(io())).rejects.toMatchObject({
      code: "git_unreachable",
    });
    const controller = new AbortController();
    const fetched = gitOf(tempDir(), url).fetch(io(controller.signal));
    const before = silent.connections();
    while (silent.connections() === before) await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort(new Error("canceled by ada"));
    await expect(fetched).rejects.toThrow("canceled by ada");
  });

  test("an address that would run a command, or is an option, is refused", async () => {
    const dir = tempDir();
    for (const url of [`ext::sh -c "touch ${dir}/ran"`, `--upload-pack=touch ${dir}/ran`, "-x"])
      await expect(gitOf(dir, url).fetch(io())).rejects.toMatchObject({ code: "git_unreachable" });
    expect(existsSync(join(dir, "ran"))).toBe(false);
  });
});

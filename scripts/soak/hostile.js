#!/usr/bin/env node
/**
 * Hostile requests against the real daemon (dist/main.js): unsigned, wrongly signed, malformed, signed by
 * somebody who holds one app's secret and tries for another's, bytes that are no HTTP, clients that stall and
 * leave, and beside them thousands of connections on which nothing comes. Wanted: no crash, no deploy, no answer of 5xx; a correct push is still answered in the middle of it all.
 *
 *   node scripts/soak/hostile.js [--requests 100000] [--seed N] [--idle 2000]
 *
 * Everything is private and temporary, on 127.0.0.1. Exits with 1 when something was not as wanted.
 */
import { spawn } from "node:child_process";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    idle: { type: "string", default: "2000" },
  },
});
const wanted = Math.min(Number(values.requests), 5_000_000);
const main = join(import.meta.dirname, "../../dist/main.js");

/** The same requests for the same seed (mulberry32). */
let state = Number(values.seed) >>> 0;
const dice = () => {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const below = (n) => Math.floor(dice() * n);
const pick = (list) => list[below(list.length)];
const noise = (length) => Buffer.from(Array.from({ length }, () => below(256)));

const secrets = { api: randomBytes(24).toString("hex"), web: randomBytes(24).toString("hex") };
const token = randomBytes(24).toString("hex");
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const sign = (body, secret) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
const sha = () => Array.from({ length: 40 }, () => below(16).toString(16)).join("");

const push = (more = {}, fullName = "acme/api") => ({
  ref: "refs/heads/main",
  before: sha(),
  after: sha(),
  deleted: false,
  head_commit: { message: "m", author: { name: "n" } },
  repository: { full_name: fullName },
  ...more,
});

const nasty = [
  "--upload-pack=touch /tmp/x",
  "-x",
  "../../etc/passwd",
  "a\u0000b",
  "a\nb",
  "\u001b]0;x\u0007",
  "$(reboot)",
  "`id`",
  "'; DROP TABLE deploys; --",
  "<script>alert(1)</script>",
  "__proto__",
  "constructor",
  "%2e%2e%2f",
  "\ud800",
  "a".repeat(5000),
  "",
  " ",
  "refs/heads/",
  "HEAD",
  "@{-1}",
  "main:refs/heads/main",
  "ext::sh -c id",
];
const odd = () => pick([pick(nasty), null, 0, -1, 1e308, true, [], {}, [[[]]], { toString: "x" }, sha()]);

/** Bodies that must never make a deploy, even when somebody with a secret has signed them. */
const worthless = [
  () => push({ ref: pick(nasty) }),
  () => push({ after: pick(nasty) }),
  () => push({ ref: odd(), after: odd(), head_commit: odd() }),
  () => push({}, pick(nasty)),
  () => push({ repository: odd() }),
  () => push({ ref: "refs/heads/other" }),
  () => push({ deleted: true, after: "0".repeat(40) }),
  () => ({ repository: odd(), ref: odd(), sha: odd(), app: odd() }),
  () => ({ repository: "acme/api", ref: "refs/heads/main", sha: sha().slice(0, 7) }),
  () => ({ repository: "acme/api", ref: "refs/tags/main", sha: sha() }),
  () => odd(),
  () => {
    const depth = 1 + below(3000);
    return JSON.parse("[".repeat(depth) + "]".repeat(depth));
  },
];
const text = (value) => (typeof value === "string" && dice() < 0.5 ? value : (JSON.stringify(value) ?? ""));

const json = { "content-type": "application/json" };
const hook = (body, headers) => ({
  method: "POST",
  path: "/webhooks/deploy",
  body,
  headers: { ...json, "x-github-event": "push", "x-github-delivery": String(below(1e9)), ...headers },
});

/** Every kind of hostile request; each call makes another one. */
const kinds = {
  unsigned: () => hook(JSON.stringify(push()), {}),
  "wrong secret": () => {
    const body = JSON.stringify(push());
    return hook(body, { "x-hub-signature-256": sign(body, randomBytes(24).toString("hex")) });
  },
  "another app's secret": () => {
    const body = JSON.stringify(push());
    return hook(body, { "x-hub-signature-256": sign(body, secrets.web) });
  },
  "body changed": () => {
    const body = JSON.stringify(push());
    return hook(body.replace(/.$/, " }"), { "x-hub-signature-256": sign(body, secrets.api) });
  },
  "SHA-1 and other forms": () => {
    const body = JSON.stringify(push());
    const good = sign(body, secrets.api);
    return hook(body, {
      [pick(["x-hub-signature", "x-hub-signature-256"])]: pick([
        `sha1=${createHmac("sha1", secrets.api).update(body).digest("hex")}`,
        good.slice(0, -1 - below(60)),
        `${good}00`,
        good.slice(7),
        `${good}, ${good}`,
        good.replace("sha256", pick(["sha512", "SHA-256", "md5", ""])),
        secrets.api,
        "sha256=",
        "=".repeat(64),
        Buffer.from(noise(40))
          .toString("latin1")
          .replace(/[\r\n\0]/g, "x")
          .replace(/[^\x20-\x7e]/g, "y"),
      ]),
    });
  },
  "signed rubbish": () => {
    const body = text(pick(worthless)());
    return hook(body, {
      "x-hub-signature-256": sign(body, secrets.api),
      "x-github-event": pick([
        "push",
        "release",
        "workflow_run",
        "deployment",
        "x".repeat(500),
        "<b>",
        "issues",
      ]),
    });
  },
  "signed request rubbish": () => {
    const body = text(pick(worthless)());
    const made = hook(body, { "x-hub-signature-256": sign(body, secrets.api) });
    delete made.headers["x-github-event"];
    return made;
  },
  "signed bytes": () => {
    const body = noise(1 + below(300));
    return hook(body, {
      "x-hub-signature-256": sign(body, secrets.api),
      "content-type": pick(["application/json", "application/x-www-form-urlencoded"]),
    });
  },
  "other content types": () => {
    const body = JSON.stringify(push());
    return hook(body, {
      "content-type": pick(["text/plain", "multipart/form-data", "", "application/xml", "a/b; c"]),
    });
  },
  "no or a guessed token": () => ({
    method: pick(["GET", "POST", "PUT", "DELETE"]),
    path: pick([
      "/deploys",
      "/apps",
      "/apps/api",
      "/apps/api/hold",
      "/apps/api/rollback",
      "/deploys/01/cancel",
      "/deploys/01/events",
    ]),
    body: pick(["", '{"app":"api"}', "{"]),
    headers: pick([
      {},
      { authorization: `Bearer ${sha()}` },
      { authorization: pick(nasty).replace(/[^\x20-\x7e]/g, "?") },
      { cookie: "session=1" },
    ]),
  }),
  "odd paths": () => ({
    method: pick(["GET", "POST", "HEAD", "OPTIONS", "PATCH", "TRACE", "PUT"]),
    path: `/${pick(["", "deploys/", "apps/", "webhooks/deploy/", "..%2f", "%00", "%zz", "//", "dashboard/"])}${encodeURIComponent(pick(nasty).toWellFormed?.() ?? "x")}?${pick(["limit=-1", "limit=1e9", "before=%00", "after=x", "__proto__[x]=1", "a=%zz"])}`,
    headers: {},
  }),
  "a reader's odd questions": () => ({
    method: "GET",
    path: pick([
      `/deploys?limit=${pick(["0", "101", "-1", "x", "1e3", "NaN"])}`,
      `/deploys?before=${encodeURIComponent(pick(["-", "%", "'", "zz--", "01"]))}`,
      `/deploys?status=${pick(["done", "", "queued&status=running"])}`,
      `/deploys/${encodeURIComponent(pick(["..", "../../x", "01", "constructor", "%00"]))}/logs?after=${pick(["-1", "x", "1e99", "9".repeat(40)])}`,
      `/apps/${encodeURIComponent(pick(["__proto__", "constructor", "toString", "..", "x"]))}`,
    ]),
    headers: { authorization: `Bearer ${token}`, "last-event-id": pick(["x", "-1", "9".repeat(50)]) },
  }),
  "a reader who wants more": () => ({
    method: pick(["POST", "PUT", "DELETE"]),
    path: pick(["/deploys", "/apps/api/hold", "/apps/api/rollback", "/deploys/01/cancel"]),
    body: pick(['{"app":"api"}', "{}", "[", '{"reason":"x"}', '{"release":"../../x"}']),
    headers: { ...json, authorization: `Bearer ${token}` },
  }),
  "a large body": () =>
    hook(Buffer.alloc(1024 * (1 + below(2048)), 97), {
      "x-hub-signature-256": `sha256=${sha()}${sha().slice(16)}`,
    }),
};
/** Rare, since each costs as much as hundreds of the others. */
const weights = Object.entries(kinds).flatMap(([kind]) => Array(kind === "a large body" ? 1 : 40).fill(kind));

/** Bytes that Node's own client would not send. */
const rawKinds = [
  () => noise(below(400)),
  () => "GET / HTTP/9.9\r\n\r\n",
  () =>
    "POST /webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  () => "POST /webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
  () =>
    "POST /webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999999999\r\n\r\n{",
  () => `GET /deploys HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(30_000)}\r\n\r\n`,
  () => `GET ${"/a".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  () =>
    "POST /webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
  () => `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(3000)}\r\n`,
  () => "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50),
];

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

async function startDaemon(dir, port) {
  writeFileSync(
    join(dir, "dropless.yaml"),
    JSON.stringify({
      dataDir: join(dir, "data"),
      server: { port },
      pm2Home: join(dir, "pm2"),
      tokens: [{ name: "reader", scope: "read", sha256: sha256(token) }],
      apps: Object.fromEntries(
        Object.keys(secrets).map((name) => [
          name,
          {
            repository: `${dir}/git/acme/${name}.git`,
            root: join(dir, name),
            secrets: [`env:SECRET_${name.toUpperCase()}`],
            on: ["push", "request", "release", "deployment"],
            pm2: { script: "server.js" },
          },
        ]),
      ),
    }),
  );
  const child = spawn(process.execPath, [main], {
    cwd: dir,
    env: {
      PATH: process.env.PATH,
      HOME: dir,
      PM2_HOME: join(dir, "pm2"),
      DROPLESS_CONFIG: join(dir, "dropless.yaml"),
      SECRET_API: secrets.api,
      SECRET_WEB: secrets.web,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = [];
  const keep = (line) => said.push(line) > 200 && said.shift();
  createInterface({ input: child.stderr }).on("line", keep);
  await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      keep(line);
      if (line.includes('"msg":"ready"')) resolve();
    });
    child.once("exit", (code) => reject(new Error(`the daemon ended with ${code}:\n${said.join("\n")}`)));
  });
  return { child, said };
}

const rssMb = (pid) => {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Math.round(Number(found?.[1] ?? 0) / 1024);
};

const dir = mkdtempSync(join(tmpdir(), "dropless-hostile-"));
const port = await freePort();
const { child, said } = await startDaemon(dir, port);
const agent = new Agent({ keepAlive: true, maxSockets: 48 });
/** Node sends the body of a GET or DELETE without its length: what the server makes of it may answer the next request. */
const honestAgent = new Agent({ keepAlive: true, maxSockets: 48 });

const send = ({ method, path, headers, body }, by = agent) =>
  new Promise((resolve) => {
    const sent = request(
      { host: "127.0.0.1", port, method, path, headers, agent: by, timeout: 60_000 },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode));
        response.on("error", () => resolve("cut off"));
      },
    );
    sent.on("timeout", () => sent.destroy(new Error("timeout")));
    sent.on("error", (error) => resolve(error.message === "timeout" ? "timeout" : "cut off"));
    sent.end(body);
  });

const sendRaw = (bytes) =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    const leave = setTimeout(() => socket.destroy(), 20 + below(200));
    socket.on("connect", () => (dice() < 0.2 ? socket.resetAndDestroy() : socket.write(bytes)));
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(leave);
      resolve(answer === "" ? "no answer" : Number(answer.slice(9, 12)));
    });
  });

const counts = {};
const bad = [];
const note = (kind, status) => {
  counts[status] = (counts[status] ?? 0) + 1;
  if (status === "timeout" || (typeof status === "number" && status >= 500)) bad.push(`${kind}: ${status}`);
};
/** A correct, harmless call in the middle: it must be answered, and quickly. */
let slowest = 0;
async function honest() {
  const body = JSON.stringify({ zen: "Keep it logically awesome." });
  const begun = performance.now();
  const made = hook(body, { "x-github-event": "ping", "x-hub-signature-256": sign(body, secrets.api) });
  const status = await send(made, honestAgent);
  slowest = Math.max(slowest, performance.now() - begun);
  if (status !== 200) bad.push(`a correctly signed ping: ${status}`);
}

/** Silent connections; one that the daemon closes comes again, until it is over. */
const idle = new Set();
let isOver = false;
function sitIdle() {
  if (isOver) return;
  const socket = connect(port, "127.0.0.1");
  idle.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => {
    idle.delete(socket);
    setTimeout(sitIdle, 100).unref();
  });
}

const before = rssMb(child.pid);
let peak = before;
let sent = 0;
const begun = performance.now();
for (let n = 0; n < Math.min(Number(values.idle), 15_000); n++) sitIdle();
const worker = async () => {
  while (sent < wanted && child.exitCode === null) {
    const number = ++sent;
    if (number % 500 === 0) {
      await honest();
      peak = Math.max(peak, rssMb(child.pid));
    }
    if (number % 20 === 0) note("raw bytes", await sendRaw(pick(rawKinds)()));
    else {
      const kind = pick(weights);
      note(kind, await send(kinds[kind]()));
    }
  }
};
let exit = 1;
try {
  await Promise.all(Array.from({ length: 48 }, worker));
  const response = await fetch(`http://127.0.0.1:${port}/deploys`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const { deploys } = await response.json();
  const alive = child.exitCode === null && child.signalCode === null;
  const errors = said.filter((line) => /"level":[56]0/.test(line));
  const report = {
    requests: sent,
    "idle connections": [...idle].filter((socket) => socket.readyState === "open").length,
    seconds: Math.round((performance.now() - begun) / 1000),
    answers: counts,
    crashed: !alive,
    deploys: deploys.length,
    "5xx or no answer in time": bad.length,
    "slowest correct call, ms": Math.round(slowest),
    "memory, MB": { before, peak, after: rssMb(child.pid) },
  };
  console.log(JSON.stringify(report, null, 2));
  for (const line of [...new Set(bad)].slice(0, 10)) console.error(line);
  for (const line of errors.slice(0, 5)) console.error(line);
  exit = alive && deploys.length === 0 && bad.length === 0 && errors.length === 0 ? 0 : 1;
} finally {
  isOver = true;
  for (const socket of idle) socket.destroy();
  agent.destroy();
  honestAgent.destroy();
  if (child.exitCode === null) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await gone;
  }
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(exit);

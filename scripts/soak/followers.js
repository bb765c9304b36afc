#!/usr/bin/env node
/**
 * Many followers on one long log: some read, some read slowly, most have stopped reading. Wanted: the writer is
 * not slowed, the daemon's memory stays bounded, and those who read get every line, once and in order, also
 * across reconnections.
 *
 *   node scripts/soak/followers.js [--lines 1000000] [--followers 500] [--readers 10]
 *
 * The HTTP side, queue, store and logs are the built ones, in a process of their own; what writes the lines
 * stands in for a build. Exits with 1 when something was not as wanted.
 */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    lines: { type: "string", default: "1000000" },
    followers: { type: "string", default: "500" },
    readers: { type: "string", default: "10" },
    serve: { type: "string" },
  },
});
const lines = Number(values.lines);

async function serve(dir) {
  const load = (path) => import(`../../dist/${path}.js`);
  const [
    { loadConfig },
    { openStore },
    { createDeployLogs },
    { createRedactor },
    { createIds },
    { createQueue },
  ] = await Promise.all(
    [
      "config/load",
      "adapters/sqlite/store",
      "adapters/deploy-log/logs",
      "domain/redact",
      "domain/ids",
      "queue/queue",
    ].map(load),
  );
  const { createServer } = await load("http/server");
  const { pino } = await import("pino");
  const { config } = loadConfig({ cwd: dir, env: {}, home: dir });
  const store = openStore(config.dataDir);
  const logs = createDeployLogs({ dir: join(dir, "logs"), redact: createRedactor(["a secret of sixteen"]) });
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 50);
  const queue = createQueue({
    store,
    logs,
    ids: createIds(),
    isApp: () => true,
    run: async ({ deploy }) => {
      const writer = logs.open(deploy.id);
      const begun = performance.now();
      for (let i = 1; i <= lines; i++) {
        writer.write("stdout", `${i} a line of a build that has much to say about very little\n`);
        if (i % 200 === 0) {
          await writer.drained();
          // A build is another process: whoever reads its output gives way as often as a pipe does.
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      await writer.flush();
      process.send({ wrote: Math.round(performance.now() - begun) });
      return { status: "succeeded" };
    },
  });
  const server = await createServer({
    config,
    queue,
    logs,
    logger: pino({ level: "error" }),
    version: "0",
    ready: () => true,
    instances: async () => [],
    releasesOf: async () => [],
  });
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  queue.start();
  const commit = { sha: "", message: "", author: "" };
  process.on("message", async ({ ask, peak: wanted, go, stop }) => {
    if (ask) {
      const asked = queue.ask({ app: "api", trigger: "manual", ref: "refs/heads/main", commit });
      process.send({ id: asked.deploy.id, token: asked.token });
    }
    if (wanted) process.send({ peak: Math.round(peak / 1e6) });
    if (go) peak = 0;
    if (stop) {
      clearInterval(watch);
      await queue.stop({ graceMs: 0 });
      await server.close();
      store.close();
      process.disconnect();
    }
  });
  process.send({ url });
}

/** A follower; `kind` is how it reads. `done` resolves for a reader at `end` and never for the others. */
function follow(url, token, kind) {
  let next = 1;
  let wrong = 0;
  let after = "";
  let rest = "";
  let finish;
  const done = new Promise((resolve) => {
    finish = resolve;
  });
  let current;
  const open = (cutAfter) => {
    const headers = { authorization: `Bearer ${token}`, ...(after && { "last-event-id": after }) };
    current = get(`${url}/events`, { headers, agent: false }, (response) => {
      if (kind === "stopped") return response.pause();
      if (kind === "slow") {
        const sip = setInterval(() => {
          response.read(8192);
        }, 100);
        response.on("close", () => clearInterval(sip));
        return response.pause();
      }
      rest = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        const blocks = (rest + chunk).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const id = /^id: (\S+)/.exec(block)?.[1];
          if (id === undefined) continue;
          after = id;
          const line = /"line":(\d+)/.exec(block);
          if (block.includes("\nevent: end")) return finish({ lines: next - 1, wrong });
          if (line && block.includes("\nevent: log") && Number(line[1]) !== next++) wrong++;
        }
        if (cutAfter !== undefined && next > cutAfter) {
          response.destroy();
          open();
        }
      });
      response.on("error", () => {});
    });
    current.on("error", () => {});
  };
  // Every reader loses its connection once, somewhere else each.
  open(kind === "reader" ? Math.ceil(Math.random() * lines * 0.9) : undefined);
  return { done, leave: () => current.destroy() };
}

async function main() {
  const dir = mkdtempSync(join(tmpdir(), "dropless-followers-"));
  writeFileSync(
    join(dir, "dropless.yaml"),
    JSON.stringify({ apps: { api: { repository: "a/api", root: "api", pm2: { script: "x.js" } } } }),
  );
  const child = fork(import.meta.filename ?? new URL(import.meta.url).pathname, [
    "--serve",
    dir,
    "--lines",
    String(lines),
  ]);
  const inbox = [];
  const waiting = [];
  child.on("message", (message) => {
    inbox.push(message);
    for (const look of waiting.splice(0)) look();
  });
  const told = async (key) => {
    for (;;) {
      const index = inbox.findIndex((message) => key in message);
      if (index >= 0) return inbox.splice(index, 1)[0];
      await new Promise((resolve) => waiting.push(resolve));
    }
  };
  let exit = 1;
  try {
    const { url } = await told("url");
    child.send({ ask: true });
    await told("id");
    const alone = (await told("wrote")).wrote;
    child.send({ peak: true });
    const peakAlone = (await told("peak")).peak;

    child.send({ ask: true, go: true });
    const { id, token } = await told("id");
    const count = Number(values.followers);
    const readers = Math.min(Number(values.readers), count);
    const all = Array.from({ length: count }, (_, i) =>
      follow(
        `${url}/deploys/${id}`,
        token,
        i < readers ? "reader" : i < readers + count / 10 ? "slow" : "stopped",
      ),
    );
    const begun = performance.now();
    const { wrote } = await told("wrote");
    const seen = await Promise.all(all.slice(0, readers).map(({ done }) => done));
    const read = Math.round(performance.now() - begun);
    child.send({ peak: true });
    const { peak } = await told("peak");
    for (const follower of all) follower.leave();
    const complete = seen.filter((one) => one.lines === lines && one.wrong === 0).length;
    console.log(
      JSON.stringify(
        {
          lines,
          followers: {
            readers,
            slow: Math.ceil(count / 10),
            stopped: count - readers - Math.ceil(count / 10),
          },
          "written in, ms": { alone, followed: wrote },
          "readers done after, ms": read,
          "readers with every line once and in order, over a lost connection": complete,
          "peak memory, MB": { alone: peakAlone, followed: peak },
        },
        null,
        2,
      ),
    );
    exit = complete === readers ? 0 : 1;
  } finally {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    if (child.connected) child.send({ stop: true });
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, 10_000))]);
    child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  }
  process.exit(exit);
}

await (values.serve ? serve(values.serve) : main());

/**
 * How fast a CI job shows a deploy's log: scripts/github-action/deploy.sh (events) and scripts/trigger-deploy.sh (text)
 * beside a server that has every line at once.
 *
 *   node scripts/bench/action.js [--lines 100000] [--json FILE]
 *
 * Needs bash, curl, openssl and awk; takes some seconds. Prints a Markdown table, and JSON behind it.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { cpus } from "node:os";
import { env, version } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { lines: { type: "string" }, json: { type: "string" } } });
const lines = Number(values.lines ?? 100_000);
const time = "2026-11-21T20:05:53.000Z";
const commit = { sha: "a".repeat(40), message: "a change", author: "Ada" };
const deploy = { id: "0first", app: "api", status: "succeeded", commit, steps: [], attempt: 1, logTail: [] };

const textOf = (i) => `  \u001b[2mdist/assets/\u001b[22m\u001b[36mmodule-${i}.js\u001b[39m "x" 4.2 kB`;
const texts = Array.from({ length: lines }, (_, i) => textOf(i));
const told = [
  ["step", { name: "build", status: "running", time }],
  ...texts.map((text, i) => ["log", { line: i + 1, text, stream: "stdout", step: "build", time }]),
  ["step", { name: "build", status: "succeeded", durationMs: 2100, time }],
  ["end", deploy],
];
const events = told.map(
  ([name, data], i) => `id: ${i + 1}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`,
);
const answers = { events: events.join(""), logs: `${texts.join("\n")}\n` };

const server = createServer(async (request, response) => {
  await request.resume().toArray();
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://x");
  const kind = pathname.split("/").pop() ?? "";
  if (request.method === "POST") response.writeHead(202).end(JSON.stringify({ ...deploy, token: "T0KEN" }));
  else if (kind === "logs" && searchParams.get("after") !== "0") response.end();
  else if (kind in answers) response.writeHead(200, { "content-type": "text/plain" }).end(answers[kind]);
  else response.end(JSON.stringify(deploy));
}).listen(0, "127.0.0.1");
await once(server, "listening");

async function run(shell, script) {
  const from = performance.now();
  const child = spawn(shell, [fileURLToPath(new URL(`../${script}`, import.meta.url))], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: env.PATH,
      GITHUB_ACTIONS: "true",
      GITHUB_REPOSITORY: "acme/api",
      GITHUB_REF: "refs/heads/main",
      GITHUB_SHA: commit.sha,
      DROPLESS_URL: `http://127.0.0.1:${server.address().port}`,
      DROPLESS_SECRET: "0123456789abcdef",
    },
  });
  let shown = 0;
  for await (const chunk of child.stdout) for (const byte of chunk) if (byte === 10) shown++;
  if (child.exitCode === null) await once(child, "exit");
  const seconds = (performance.now() - from) / 1000;
  return { script, lines, shown, exitCode: child.exitCode, seconds, perSecond: Math.round(lines / seconds) };
}

const results = [await run("bash", "github-action/deploy.sh"), await run("sh", "trigger-deploy.sh")];
server.close();
const table = [
  "| script | lines | seconds | lines a second |",
  "|---|---|---|---|",
  ...results.map(
    (one) =>
      `| \`${one.script}\` | ${one.lines.toLocaleString("en")} | ${one.seconds.toFixed(2)} | ${one.perSecond.toLocaleString("en")} |`,
  ),
];
console.log(table.join("\n"));
const report = JSON.stringify({ node: version, cpus: cpus().length, results }, null, 2);
console.log(report);
if (values.json) writeFileSync(values.json, report);
// All of it, or it says nothing.
process.exitCode = results.every(({ exitCode, shown }) => exitCode === 0 && shown >= lines) ? 0 : 1;

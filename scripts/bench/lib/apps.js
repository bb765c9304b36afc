/**
 * Small real apps, as people write them. Every answer is `ok <release> <method> <sum of the body>\n`, which
 * the load checks. `/slow?ms=` answers late, `/healthz` at once.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const goodKinds = ["http", "http-close", "express", "fastify", "hono"];
export const badKinds = [
  "crash-at-boot",
  "never-listens",
  "listens-elsewhere",
  "answers-500",
  "dies-after-3s",
  "script-missing",
  "syntax-error",
  "broken-beside-old",
];

const head = (release, port) => `
import { createHash } from "node:crypto";
import http from "node:http";
const release = ${JSON.stringify(release)};
const port = Number(process.env.PORT) || ${port};
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const delay = (url) => Number(new URL(url, "http://app").searchParams.get("ms")) || 0;
const answer = (method, body) => {
  const sum = body.length ? createHash("sha256").update(body).digest("hex").slice(0, 12) : "-";
  return \`ok \${release} \${method} \${sum}\\n\`;
};
`;

const handler = `
const handle = async (req, res) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  await wait(delay(req.url));
  res.setHeader("content-type", "text/plain");
  res.end(answer(req.method, Buffer.concat(chunks)));
};
`;

/** What every tutorial recommends. */
const usualHandler = `
for (const signal of ["SIGINT", "SIGTERM"])
  process.on(signal, () => {
    server.close(() => process.exit(0));
    setTimeout(() => process.exit(1), 6000);
  });
`;

const http = `${handler}
const server = http.createServer(handle).listen(port);
`;

const express = `
import express from "express";
const app = express();
app.use(express.text({ type: "*/*" }));
app.all(/.*/, async (req, res) => {
  await wait(delay(req.url));
  res.type("text").send(answer(req.method, Buffer.from(typeof req.body === "string" ? req.body : "")));
});
const server = app.listen(port);
${usualHandler}`;

const fastify = `
import Fastify from "fastify";
const app = Fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "string" }, (request, body, done) => done(null, body));
app.all("/*", async (request, reply) => {
  await wait(delay(request.url));
  reply.type("text/plain");
  return answer(request.method, Buffer.from(request.body ?? ""));
});
for (const signal of ["SIGINT", "SIGTERM"])
  process.on(signal, async () => {
    await app.close();
    process.exit(0);
  });
await app.listen({ port, host: "0.0.0.0" });
`;

const hono = `
import { serve } from "@hono/node-server";
import { Hono } from "hono";
const app = new Hono();
app.all("*", async (c) => {
  const body = c.req.method === "POST" ? Buffer.from(await c.req.arrayBuffer()) : Buffer.alloc(0);
  await wait(delay(c.req.url));
  return c.text(answer(c.req.method, body));
});
const server = serve({ fetch: app.fetch, port });
${usualHandler}`;

/** Each as the rest of server.js, behind `head`. */
const bodies = {
  http,
  "http-close": http + usualHandler,
  express,
  fastify,
  hono,
  "crash-at-boot": `throw new Error("the database is not configured");\n`,
  "never-listens": `setInterval(() => {}, 1000);\n`,
  "listens-elsewhere": `${handler}
http.createServer(handle).listen(ELSEWHERE);
`,
  "answers-500": `http.createServer((req, res) => {
  res.statusCode = 500;
  res.end("the table orders does not exist");
}).listen(port);
`,
  "dies-after-3s": `${http}
setTimeout(() => {
  throw new Error("lost the connection to the queue");
}, 3000);
`,
  "syntax-error": `const server = = http;\n`,
  // Healthy when it boots alone; broken where the other release runs too.
  "broken-beside-old": `${handler}
const alone = process.env.DROPLESS_PREFLIGHT === "1";
http.createServer((req, res) => {
  if (alone) return handle(req, res);
  res.statusCode = 500;
  res.end("the lock is held by another process");
}).listen(port);
`,
  // Healthy until it is the live one, as `current` says.
  "bad-when-live": `import { readlinkSync } from "node:fs";
import { basename, join } from "node:path";
${handler}
const own = basename(import.meta.dirname);
const live = () => basename(readlinkSync(join(import.meta.dirname, "../../current")));
http.createServer((req, res) => {
  if (process.env.DROPLESS_PREFLIGHT === "1" || live() !== own) return handle(req, res);
  res.statusCode = 500;
  res.end("the release has gone bad");
}).listen(port);
`,
};

/** What such releases answer themselves, with 500: nobody else's request ever gets it. */
export const badAnswers = ["the lock is held by another process", "the release has gone bad"];

export const appFiles = ({ kind, release, port, elsewhere = port + 1 }) => ({
  "package.json": `${JSON.stringify({ name: "app", version: "1.0.0", private: true, type: "module" }, null, 2)}\n`,
  "release.txt": `${release}\n`,
  ...(kind === "script-missing"
    ? {}
    : { "server.js": head(release, port) + bodies[kind].replace("ELSEWHERE", String(elsewhere)) }),
});

export function linkModules(dir) {
  symlinkSync(fileURLToPath(new URL("../../../node_modules", import.meta.url)), join(dir, "node_modules"));
}

export function writeApp(dir, options) {
  mkdirSync(dir, { recursive: true });
  for (const [name, text] of Object.entries(appFiles(options))) writeFileSync(join(dir, name), text);
  return join(dir, "server.js");
}

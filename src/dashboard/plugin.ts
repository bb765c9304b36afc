import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

const types: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/**
 * Nothing inline, nothing from elsewhere, in nobody's frame; and no string may become HTML or script, which
 * browsers that know Trusted Types enforce.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const headers = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=()",
  // Asked for again at each visit, and answered with 304: an upgrade of the daemon is an upgrade of the page.
  "cache-control": "no-cache",
  vary: "accept-encoding",
};

/** Pages have addresses of their own; everything else is below `/page/`. */
const places: Record<string, string> = { "index.html": "/", "docs.html": "/docs" };

/**
 * The page: `GET /` and its files below `/page/`; with `docs` also the page of the HTTP interface, `GET /docs`. All
 * of them are read, and packed, once.
 */
export async function dashboard(app: FastifyInstance, { docs = false }: { docs?: boolean }): Promise<void> {
  const folder = join(import.meta.dirname, "page");
  for (const name of readdirSync(folder)) {
    const type = types[name.split(".").pop() ?? ""];
    if (!type || (!docs && name.startsWith("docs."))) continue;
    const plain = readFileSync(join(folder, name));
    const packed = gzipSync(plain, { level: 9 });
    const etag = `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`;
    const answer = (request: FastifyRequest, reply: FastifyReply) => {
      reply.headers(headers).header("etag", etag);
      // A proxy that packs makes the tag a weak one.
      if (request.headers["if-none-match"]?.replace(/^W\//, "") === etag) return reply.code(304).send();
      reply.type(type);
      if (!/\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""))) return reply.send(plain);
      return reply.header("content-encoding", "gzip").send(packed);
    };
    app.get(places[name] ?? `/page/${name}`, { config: { access: "anyone" } }, answer);
  }
}

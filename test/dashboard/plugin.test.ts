import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { fastify } from "fastify";
import { afterAll, describe, expect, it } from "vitest";
import { dashboard } from "../../src/dashboard/plugin.js";

const folder = join(import.meta.dirname, "../../src/dashboard/page");
const files = readdirSync(folder).filter((name) => /\.(html|js|css|svg)$/.test(name));
const places: Record<string, string> = { "index.html": "/", "docs.html": "/docs" };
const addresses = files.map((name) => places[name] ?? `/page/${name}`);

describe("the page's files", () => {
  const app = fastify();
  app.register(dashboard, { docs: true });
  afterAll(() => app.close());

  it("are all served, with a policy that lets in nothing from elsewhere and nothing inline", async () => {
    for (const url of addresses) {
      const answer = await app.inject({ url });
      expect([url, answer.statusCode]).toEqual([url, 200]);
      const policy = String(answer.headers["content-security-policy"]);
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toMatch(/unsafe|https?:|data:|\*/);
    }
  });

  it("weigh less than 60 kB over the wire, all together", async () => {
    let bytes = 0;
    for (const url of addresses) {
      const answer = await app.inject({ url, headers: { "accept-encoding": "gzip" } });
      expect(answer.headers["content-encoding"]).toBe("gzip");
      bytes += answer.rawPayload.length + JSON.stringify(answer.headers).length;
      expect(gunzipSync(answer.rawPayload).length).toBeGreaterThan(0);
    }
    expect(bytes).toBeLessThan(60_000);
  });

  it("are not sent again when the browser has them", async () => {
    const first = await app.inject({ url: "/page/main.js" });
    const again = await app.inject({
      url: "/page/main.js",
      headers: { "if-none-match": `W/${first.headers.etag}` },
    });
    expect([again.statusCode, again.body]).toEqual([304, ""]);
  });

  it.each(Object.keys(places))(
    "%s names the others by relative addresses only, and holds nothing inline",
    (name) => {
      const html = readFileSync(join(folder, name), "utf8");
      expect(html).not.toMatch(/\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)/);
      for (const [, address] of html.matchAll(/\s(?:src|href)="([^"]+)"/g)) {
        expect(address).toMatch(/^(page\/[a-z-]+\.\w+|#\w+|\.\/)$/);
        if (address?.startsWith("page/")) expect(files).toContain(address.slice("page/".length));
      }
    },
  );

  it("do not have the page of the interface unless that is configured", async () => {
    const plain = fastify();
    plain.register(dashboard);
    for (const url of ["/docs", "/page/docs.js"]) expect((await plain.inject({ url })).statusCode).toBe(404);
    await plain.close();
  });

  it("make no HTML out of strings", () => {
    for (const name of files.filter((file) => file.endsWith(".js"))) {
      const source = readFileSync(join(folder, name), "utf8");
      expect([
        name,
        /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function/.test(source),
      ]).toEqual([name, false]);
      expect([name, /https?:\/\//.test(source.replaceAll("http://www.w3.org/2000/svg", ""))]).toEqual([
        name,
        false,
      ]);
    }
  });
});

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exampleConfig, type Nginx, startNginx, testConfig } from "../support/nginx.ts";
import { freePort, makeTempDir, removeTempDir } from "../support/temp.ts";
import { canTest } from "../support/tools.ts";

const root = join(import.meta.dirname, "../..");
const blocks = (page: string): string[] =>
  [...readFileSync(join(root, page), "utf8").matchAll(/^```nginx\n([\s\S]*?)^```/gm)].map(
    (match) => match[1] ?? "",
  );
const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md"),
);

const listen = async (
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> => {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
};
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

describe.runIf(canTest("nginx"))("the example configuration, in a real nginx", () => {
  let dir = "";
  let app: Server | undefined;
  let daemon: Server | undefined;
  let nginx: Nginx | undefined;
  let base = "";
  /** What arrived, and its answer still to be given. */
  const toDaemon: { seen: IncomingMessage; body: Buffer; response: ServerResponse }[] = [];
  let arrived: () => void = () => {};

  beforeAll(async () => {
    dir = makeTempDir("nginx");
    app = await listen((seen, response) =>
      response.end(JSON.stringify({ url: seen.url, headers: seen.headers })),
    );
    app.on("upgrade", (_request, socket) => {
      socket.end(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello",
      );
    });
    daemon = await listen(async (seen, response) => {
      const body = Buffer.concat(await seen.toArray());
      toDaemon.push({ seen, body, response });
      arrived();
    });
    const ports = { app: portOf(app), daemon: portOf(daemon) };
    nginx = await startNginx(join(dir, "run"), (listen) => exampleConfig({ listen, ...ports }));
    base = `http://127.0.0.1:${nginx.port}`;
  });
  afterAll(async () => {
    await nginx?.stop();
    for (const server of [app, daemon]) {
      server?.closeAllConnections();
      server?.close();
    }
    if (dir) removeTempDir(dir);
  });

  const next = async () => {
    while (toDaemon.length === 0) await new Promise<void>((resolve) => (arrived = resolve));
    return toDaemon.shift() as (typeof toDaemon)[number];
  };

  it("gives the app everything else, with its own path", async () => {
    const answer = await fetch(`${base}/users?x=1`, { headers: { host: "example.com" } });
    const { url, headers } = (await answer.json()) as { url: string; headers: Record<string, string> };
    expect(url).toBe("/users?x=1");
    expect(headers["x-forwarded-proto"]).toBe("http");
    expect(headers.connection ?? "").not.toBe("close");
  });

  it("lets an app's WebSocket through", async () => {
    const asked = request(`${base}/socket`, {
      headers: { connection: "Upgrade", upgrade: "websocket" },
    }).end();
    const [response, socket] = await once(asked, "upgrade");
    socket.destroy();
    expect(response.statusCode).toBe(101);
  });

  it("takes the prefix off, keeps the body as it was signed, and takes deliveries far over nginx's own limit", async () => {
    const body = Buffer.alloc(3_000_000, "x");
    const answer = fetch(`${base}/_dropless/webhooks/deploy?a=%20b`, { method: "POST", body });
    const { seen, body: got, response } = await next();
    response.statusCode = 202;
    response.end();
    expect(seen.url).toBe("/webhooks/deploy?a=%20b");
    expect(got.equals(body)).toBe(true);
    expect((await answer).status).toBe(202);
  });

  it("tells the client's address, and not what the client says of it", async () => {
    const answer = fetch(`${base}/_dropless/healthz`, { headers: { "x-forwarded-for": "203.0.113.9" } });
    const { seen, response } = await next();
    response.end();
    await answer;
    expect(seen.headers["x-forwarded-for"]).toBe("127.0.0.1");
  });

  it("passes a stream on line by line, also to a client that takes gzip", async () => {
    const answer = fetch(`${base}/_dropless/deploys/x/logs?follow=1`, {
      headers: { "accept-encoding": "gzip" },
    });
    const { response } = await next();
    response.setHeader("content-type", "text/plain; charset=utf-8");
    response.write("one\n");
    const stream = (await answer).body?.getReader();
    // The second line is written only when the first one has arrived: with a buffer in between, neither would.
    const read = async () => Buffer.from((await stream?.read())?.value ?? []).toString();
    expect(await read()).toBe("one\n");
    response.write("two\n");
    expect(await read()).toBe("two\n");
    response.end();
    expect((await stream?.read())?.done).toBe(true);
  });

  it("has nothing that nginx warns of, nor have the pages' snippets", async () => {
    const snippets = pages.flatMap((page) => blocks(page).map((text, i) => ({ page, i, text })));
    expect(snippets.length).toBeGreaterThan(0);
    // It is bound, if only to try: one that anybody may have.
    const port = await freePort();
    for (const { page, i, text } of snippets) {
      const http = /^\s*(server|upstream|map)\b/m.test(text)
        ? text
        : `server { listen 127.0.0.1:${port}; ${text} }`;
      expect(await testConfig(join(dir, "snippet"), http), `${page}, snippet ${i + 1}`).toBe("");
    }
    expect(await testConfig(join(dir, "broken"), "server { proxy_bufering off; }")).toContain(
      "proxy_bufering",
    );
  });
});

import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import type { AddressInfo, Server } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type { AppConfig } from "../../src/config/schema.js";
import { ask, question } from "../../src/rollout/ask.js";
import { listeners } from "../../src/rollout/listeners.js";
import { certificate } from "../support/certificate.js";
import { freePort } from "../support/temp.js";

const app = { health: { path: "/healthz", timeout: 5000 } } as AppConfig;
const answer = (_: unknown, response: http.ServerResponse) => {
  response.statusCode = 204;
  response.end();
};

async function serve(server: Server, host: string, port = 0): Promise<number> {
  server.listen(port, host);
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test.each(["127.0.0.1", "::1", "127.0.0.2", "0.0.0.0", "::"])(
  "an app that listens on %s is found, plain or by TLS",
  async (host) => {
    for (const server of [http.createServer(answer), https.createServer(certificate, answer)]) {
      const port = await serve(server, host);
      const asked = question(app, port);
      expect(await ask(asked)).toEqual({ status: 204 });
      const { tls } = asked.way;
      expect(tls).toBe(server instanceof https.Server);
      // Found once, it is asked right away.
      let strangers = 0;
      server.on("tlsClientError", () => strangers++);
      expect(await ask(asked)).toEqual({ status: 204 });
      expect(strangers).toBe(0);
    }
  },
);

test("one that moves from plain to TLS and back is found again", async () => {
  const port = await freePort();
  const asked = question(app, port);
  for (const make of [http.createServer, () => https.createServer(certificate, answer), http.createServer]) {
    const server = make(answer as never);
    await serve(server, "127.0.0.1", port);
    expect(await ask(asked)).toEqual({ status: 204 });
    server.close();
    await once(server, "close");
    expect(await ask(asked)).toEqual({ error: "ECONNREFUSED" });
  }
});

test("many who ask at once find it out together", async () => {
  const port = await serve(https.createServer(certificate, answer), "127.0.0.2");
  const asked = question(app, port);
  const all = await Promise.all(Array.from({ length: 20 }, () => ask(asked)));
  expect(all).toEqual(Array.from({ length: 20 }, () => ({ status: 204 })));
  expect(asked.way.tls).toBe(true);
});

test("one that resets every connection says so", async () => {
  const server = http.createServer((request) => request.socket.destroy());
  const port = await serve(server, "127.0.0.1");
  expect(await ask(question(app, port))).toEqual({ error: "ECONNRESET" });
});

test("the addresses a port is listened on are the system's", async () => {
  const port = await serve(http.createServer(answer), "127.0.0.2");
  await serve(http.createServer(answer), "::1", port);
  expect((await listeners(port)).sort()).toEqual(["0000:0000:0000:0000:0000:0000:0000:0001", "127.0.0.2"]);
  expect(await listeners(await freePort())).toEqual([]);
});

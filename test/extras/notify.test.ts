import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import type { NotifyConfig } from "../../src/config/schema.js";
import type { Deploy, Ended } from "../../src/domain/deploy.js";
import { createNotify } from "../../src/extras/notify.js";
import { shaOf } from "../support/payloads.js";
import { receiver } from "../support/receiver.js";

const ended = (more: Partial<Ended> = {}): Ended => ({
  id: "01d",
  app: "api",
  status: "failed",
  trigger: "push",
  ref: "refs/heads/main",
  commit: { sha: shaOf(2), message: "Say <!channel> hello & **bye**\n\nMore.", author: "Ann" },
  standsFor: [shaOf(2)],
  createdAt: "2026-01-01T00:00:00.000Z",
  startedAt: "2026-01-01T00:00:01.000Z",
  finishedAt: "2026-01-01T00:00:43.000Z",
  attempt: 1,
  ...more,
});
const every: NotifyConfig["on"] = ["succeeded", "failed", "rolled_back", "rollback_failed"];

function told(targets: NotifyConfig[], pausesMs = [1, 1]) {
  let listener: (deploy: Deploy) => void = () => {};
  const warned: object[] = [];
  const waiters: (() => void)[] = [];
  const notify = createNotify({
    targets,
    queue: {
      subscribe(given) {
        listener = given;
        return () => {
          listener = () => {};
        };
      },
    },
    logger: {
      warn: (facts: object) => {
        warned.push(facts);
        for (const waiter of waiters.splice(0)) waiter();
      },
    },
    linkOf: (id) => `https://deploy.example.com/#/deploys/${id}`,
    redact: (text) => text.replaceAll("hush-hush", "***"),
    pausesMs,
  });
  return {
    notify,
    warned,
    tell: (deploy: Deploy) => listener(deploy),
    warning: async () => {
      while (warned.length === 0) await new Promise<void>((resolve) => waiters.push(resolve));
    },
  };
}

it("signs what a webhook gets, over the bytes that were sent", async () => {
  const { url, got, until } = await receiver(() => ({ status: 204 }));
  const secret = "a-secret-of-the-receiver";
  const { tell, notify, warned } = told([{ type: "webhook", url: `${url}/hook`, secret, on: every }]);
  tell(ended({ status: "queued" } as never));
  const commit = { sha: shaOf(2), message: "with hush-hush in it", author: "Ann" };
  tell(ended({ commit, error: { code: "build_failed", message: "It broke.", hint: "Mend it." } }));
  await until((all) => all.length === 1);
  await notify.stop();
  const [one] = got;
  expect(one?.path).toBe("/hook");
  expect(one?.headers["x-dropless-delivery"]).toBe("01d-failed");
  expect(one?.headers["x-dropless-signature-256"]).toBe(
    `sha256=${createHmac("sha256", secret)
      .update(one?.body ?? "")
      .digest("hex")}`,
  );
  expect(JSON.parse(one?.body ?? "")).toMatchObject({
    event: "deploy.ended",
    deploy: {
      id: "01d",
      app: "api",
      status: "failed",
      error: { code: "build_failed" },
      url: "https://deploy.example.com/#/deploys/01d",
    },
  });
  expect(one?.body).not.toContain("standsFor");
  expect(one?.body).toContain("with *** in it");
  expect(warned).toEqual([]);
});

it("tells Slack and Discord in their own words, and lets no commit call anybody", async () => {
  const { url, got, until } = await receiver(() => ({ status: 200 }));
  const { tell, notify } = told([
    { type: "slack", url: `${url}/slack`, on: every },
    { type: "discord", url: `${url}/discord`, on: every },
  ]);
  tell(ended({ status: "succeeded", receipt: { probes: 40, failed: 0, maxGapMs: 9 } }));
  await until((all) => all.length === 2);
  await notify.stop();
  const bodyOf = (path: string) => JSON.parse(got.find((one) => one.path === path)?.body ?? "{}");
  expect(bodyOf("/slack").text.split("\n")).toEqual([
    "<https://deploy.example.com/#/deploys/01d|api was deployed in 42 s>",
    `${shaOf(2).slice(0, 7)} Say &lt;!channel&gt; hello &amp; **bye** (Ann)`,
    "40 probes during the rollout, 0 failed",
  ]);
  const discord = bodyOf("/discord");
  expect(discord.allowed_mentions).toEqual({ parse: [] });
  expect(discord.embeds[0].title).toBe("api was deployed in 42 s");
  expect(discord.embeds[0].description).toContain("\\*\\*bye\\*\\*");
});

it("tells only of the outcomes and apps that were chosen", async () => {
  const { url, got, until } = await receiver(() => ({ status: 200 }));
  const { tell, notify } = told([{ type: "webhook", url, on: ["rolled_back"], apps: ["web"] }]);
  tell(ended({ app: "web" }));
  tell(ended({ status: "rolled_back" }));
  tell(ended({ app: "web", status: "rolled_back", id: "02d" }));
  await until((all) => all.length === 1);
  await notify.stop();
  expect(got.map(({ headers }) => headers["x-dropless-delivery"])).toEqual(["02d-rolled_back"]);
});

it("tries again what may pass, with the same body, and not for ever", async () => {
  const replies = [500, 429, 200];
  const { got, url, until } = await receiver((_, nth) => ({
    status: replies[nth - 1] ?? 503,
    headers: { "retry-after": "0" },
  }));
  const { tell, warned, warning, notify } = told([{ type: "webhook", url, on: every }]);
  tell(ended());
  await until((all) => all.length === 3);
  expect(new Set(got.map(({ body }) => body)).size).toBe(1);
  expect(warned).toEqual([]);
  tell(ended({ id: "02d" }));
  await warning();
  expect(got).toHaveLength(6);
  expect(warned).toEqual([{ deploy: "02d", target: "webhook", reason: "answered 503, after 3 attempts" }]);
  await notify.stop();
});

it("gives up at once on a refusal, follows no redirect, and shows no address in the log", async () => {
  const { got, url } = await receiver(() => ({ status: 302, headers: { location: "/elsewhere" } }));
  const { tell, warned, warning, notify } = told([{ type: "slack", url: `${url}/hidden`, on: every }]);
  tell(ended());
  await warning();
  expect(got).toHaveLength(1);
  expect(warned).toEqual([{ deploy: "01d", target: "slack", reason: "answered 302" }]);
  expect(JSON.stringify(warned)).not.toContain("hidden");
  await notify.stop();
});

it("reads no more than the beginning of an answer that never ends", async () => {
  let sent = 0;
  const server = createServer((_request, response) => {
    response.on("error", () => {});
    const pour = (): void => {
      while (response.writable && response.write("x".repeat(65_536))) sent += 65_536;
    };
    response.on("drain", pour);
    pour();
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.closeAllConnections());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { tell, notify, warned } = told([{ type: "webhook", url: `http://127.0.0.1:${port}/`, on: every }]);
  tell(ended());
  await notify.stop();
  expect(warned).toEqual([]);
  expect(sent).toBeLessThan(50_000_000);
  server.close();
});

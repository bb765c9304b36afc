import { connect, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { push } from "../support/payloads.js";
import { bench, sign } from "./bench.js";

interface Raw {
  socket: Socket;
  /** Everything that came, once the other side has closed. */
  closed: Promise<string>;
}

async function raw(url: string, bytes = ""): Promise<Raw> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(text)));
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  socket.write(bytes);
  return { socket, closed };
}

const head = (extra: string) =>
  `POST /webhooks/deploy HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${extra}\r\n\r\n`;

async function signedPush(url: string, filler = "") {
  const body = JSON.stringify({ ...push(), filler });
  const response = await fetch(`${url}/webhooks/deploy`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-github-event": "push",
      "x-hub-signature-256": sign(body),
    },
    body,
  });
  return response.status;
}

it.each([
  ["not HTTP at all", "\u0016\u0003\u0001 hello\r\n\r\n", 400],
  ["two lengths", head("Content-Length: 3\r\nContent-Length: 5"), 400],
  ["a length and chunks", head("Content-Length: 3\r\nTransfer-Encoding: chunked"), 400],
  ["a header of 20 kB", `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${"a".repeat(20_000)}\r\n\r\n`, 431],
  ["a chunk's length that is none", `${head("Transfer-Encoding: chunked")}zz\r\n`, 400],
])("refuses %s with a problem document, and goes on", async (_, bytes, status) => {
  const { listen } = await bench();
  const url = await listen();
  const answer = await (await raw(url, bytes)).closed;
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toContain("application/problem+json");
  expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toMatchObject({
    status,
    hint: expect.any(String),
  });
  expect(await signedPush(url)).toBe(202);
});

it("lets go of clients that are too slow with their headers or their body", async () => {
  const { listen, queue } = await bench({ patience: { headersMs: 2000, requestMs: 3000 } });
  const url = await listen();
  const silent = await raw(url);
  const header = await raw(url, "POST /webhooks/deploy HTTP/1.1\r\nHost: x\r\n");
  const body = await raw(url, `${head("Content-Length: 1000")}{"ref"`);
  const drip = setInterval(() => body.socket.write(" "), 50);
  onTestFinished(() => clearInterval(drip));
  expect(await header.closed).toContain("408 ");
  expect(await body.closed).toMatch(/^(HTTP\/1.1 408 |$)/);
  expect(await silent.closed).toMatch(/^(HTTP\/1.1 408 |$)/);
  expect(await signedPush(url)).toBe(202);
  expect(queue.list({ limit: 10 }).deploys).toHaveLength(1);
});

it("takes no more than 25 MB of a body without end, and still answers", async () => {
  const { listen, queue } = await bench();
  const url = await listen();
  const chunk = Buffer.concat([
    Buffer.from("100000\r\n"),
    Buffer.alloc(1024 * 1024, 97),
    Buffer.from("\r\n"),
  ]);
  const { socket } = await raw(url, head("Transfer-Encoding: chunked"));
  let answer = "";
  socket.on("data", (data) => {
    answer += data;
  });
  for (let i = 0; i < 40 && answer === ""; i++)
    await new Promise<void>((resolve) => socket.write(chunk, () => resolve()));
  expect(
    answer === ""
      ? await new Promise<string>((resolve) => socket.once("data", (data) => resolve(String(data))))
      : answer,
  ).toMatch(/^HTTP\/1.1 413 /);
  expect(queue.list({ limit: 10 }).deploys).toHaveLength(0);
});

it("answers a signed push while others hold large bodies and idle connections", async () => {
  const { listen } = await bench();
  const url = await listen();
  const large = Buffer.alloc(3 * 1024 * 1024, 32);
  for (let i = 0; i < 8; i++) {
    const { socket } = await raw(url, head(`Content-Length: ${20 * 1024 * 1024}`));
    socket.write(large);
  }
  for (let i = 0; i < 300; i++) await raw(url, i % 2 ? "" : "POST /webhooks/deploy HTTP/1.1\r\n");
  expect(await signedPush(url)).toBe(202);
  // Nor is a large one kept waiting by them.
  expect(await signedPush(url, "x".repeat(3 * 1024 * 1024))).toBe(202);
});

it("survives clients that leave in the middle of everything", async () => {
  const { listen, logged } = await bench();
  const url = await listen();
  for (const bytes of [
    "",
    "POST",
    head("Content-Length: 100"),
    `${head("Content-Length: 5")}{}`,
    `${head("Content-Length: 2")}{}`,
  ]) {
    const { socket, closed } = await raw(url, bytes);
    socket.resetAndDestroy();
    await closed;
  }
  expect(await signedPush(url)).toBe(202);
  expect(logged.join("")).not.toContain("a request failed");
});

import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Received {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}
interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

/** A server on 127.0.0.1 that keeps what it gets and answers as `answer` says; gone when the test is over. */
export async function receiver(answer: (got: Received, nth: number) => Reply | undefined) {
  const got: Received[] = [];
  const waiters: (() => void)[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const one = {
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    };
    got.push(one);
    const { status, headers, body } = answer(one, got.length) ?? { status: 200 };
    response.writeHead(status, { connection: "close", "content-type": "application/json", ...headers });
    response.end(body === undefined ? "" : JSON.stringify(body));
    for (const waiter of waiters.splice(0)) waiter();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    got,
    async until(condition: (got: Received[]) => boolean): Promise<void> {
      while (!condition(got)) await new Promise<void>((resolve) => waiters.push(resolve));
    },
  };
}

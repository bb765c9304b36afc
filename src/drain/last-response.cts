/** While draining, the answer to the last request of a connection says `Connection: close`. */
import http = require("node:http");

import type { Answer, Args, Instance, Traffic } from "./types.cjs";

const isConnection = (name: unknown): boolean =>
  typeof name === "string" && name.toLowerCase() === "connection";

/** Headers as `writeHead` takes them, with any Connection the app (or a proxy in it) names turned to close. */
function closing(headers: unknown): unknown {
  if (Array.isArray(headers))
    return Array.isArray(headers[0])
      ? headers.map((pair) => (isConnection(pair[0]) ? [pair[0], "close"] : pair))
      : headers.map((value, i) => (i % 2 && isConnection(headers[i - 1]) ? "close" : value));
  if (typeof headers !== "object" || headers === null) return headers;
  const pairs = Object.entries(headers);
  return Object.fromEntries(pairs.map(([name, value]) => [name, isConnection(name) ? "close" : value]));
}

function markLastResponses(instance: Instance, traffic: Traffic): void {
  const writeHead = http.ServerResponse.prototype.writeHead as (this: Answer, ...args: Args) => Answer;

  http.ServerResponse.prototype.writeHead = function (this: Answer, ...args: Args) {
    const latest = this.req && traffic.connections.get(this.req.socket)?.latest;
    // Behind a response that says close, requests pipelined on the same connection would be lost.
    const isLast = !latest || latest === this;
    if (instance.phase === "serving" || !isLast || this.headersSent || Number(args[0]) < 200)
      return writeHead.apply(this, args);
    instance.quietly(() => {
      this.shouldKeepAlive = false;
      if (this.hasHeader("connection")) this.setHeader("connection", "close");
      if (args.length > 1) args.push(closing(args.pop()));
    });
    const result = writeHead.apply(this, args);
    // Closing while the body still comes in resets the connection, and the answer may be lost with it. The
    // client knows where the answer ends, and is left to close.
    if (!this.req.complete && /\r\n(?:content-length|transfer-encoding):/i.test(this._header ?? ""))
      this._last = false;
    return result;
  } as typeof http.ServerResponse.prototype.writeHead;
}

export = { markLastResponses };

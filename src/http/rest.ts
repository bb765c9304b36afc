import type { Server } from "node:http";

type Inside = Record<symbol, NodeJS.Timeout & { _onTimeout?: () => void }>;

/**
 * Node looks every few seconds for connections that are too slow, also where there are none; a daemon at rest is to
 * sleep. Where this Node keeps its timer elsewhere, it goes on as it does.
 */
export function restWhileAlone(server: Server, everyMs: number): void {
  const inside = server as unknown as Inside;
  let open = 0;
  server.on("listening", () => {
    const key = Object.getOwnPropertySymbols(server).find(
      ({ description }) => description === "http.server.connectionsCheckingInterval",
    );
    const timer = key && inside[key];
    const look = timer?._onTimeout;
    if (!key || !timer || typeof look !== "function") return;
    const rest = () => clearInterval(inside[key]);
    if (open === 0) rest();
    server.on("connection", (socket) => {
      if (open++ === 0) inside[key] = setInterval(look, everyMs).unref() as Inside[symbol];
      socket.once("close", () => --open === 0 && rest());
    });
  });
}

/** The users: GET and POST, kept and fresh connections, quick and slow answers. Every request is counted. */
import { Agent, request } from "node:http";

const kinds = [
  { method: "GET", path: "/", keep: true },
  { method: "GET", path: "/", keep: true },
  { method: "GET", path: "/", keep: false },
  { method: "GET", path: "/slow", keep: true },
  { method: "POST", path: "/", keep: true },
  { method: "POST", path: "/", keep: true },
  { method: "POST", path: "/", keep: false },
  { method: "POST", path: "/slow", keep: true },
];

/** `onAnswer` gets the version that answered, or undefined with the reason of a failure. */
export function startLoad(port, { copies = 2, pauseMs = 15, onAnswer = () => {} } = {}) {
  const counts = { sent: 0, failed: 0, reasons: new Map() };
  let running = true;

  const ask = ({ method, path }, agent) =>
    new Promise((done, fail) => {
      const sent = request({ host: "127.0.0.1", port, method, path, agent, timeout: 15_000 }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => {
          body += chunk;
        });
        response.on("error", fail);
        response.on("end", () => {
          if (response.statusCode !== 200) return fail(new Error(`status ${response.statusCode}`));
          try {
            done(JSON.parse(body).version);
          } catch {
            fail(new Error("an answer that was cut off"));
          }
        });
      });
      sent.on("timeout", () => sent.destroy(new Error("no answer in 15 s")));
      sent.on("error", fail);
      sent.end(method === "POST" ? JSON.stringify({ order: 1 }) : undefined);
    });

  async function client(kind) {
    const agent = new Agent({ keepAlive: kind.keep, maxSockets: 1 });
    while (running) {
      counts.sent++;
      try {
        onAnswer(await ask(kind, agent));
      } catch (error) {
        counts.failed++;
        const reason = `${kind.method} ${kind.path}: ${error.code ?? error.message}`;
        counts.reasons.set(reason, (counts.reasons.get(reason) ?? 0) + 1);
        onAnswer(undefined);
      }
      await new Promise((done) => setTimeout(done, pauseMs * (0.5 + Math.random())));
    }
    agent.destroy();
  }

  const clients = Array.from({ length: copies }, () => kinds)
    .flat()
    .map(client);
  return {
    counts,
    /** Waits for every answer that is still to come. */
    async stop() {
      running = false;
      await Promise.all(clients);
    },
  };
}

import type { Agent } from "node:http";
import { request as requestTls, type Agent as TlsAgent } from "node:https";
import type { AppConfig } from "../config/schema.js";
import { listeners } from "./listeners.js";

/** Not imported: on Node 22 and later that loads its whole `fetch` for the names beside, 7 MB that nobody uses. */
const { request } = process.getBuiltinModule("node:http");

/** Which instance answers is known by this header: the preload reports requests that carry the app's probe key. */
export const probeHeader = "x-dropless-probe";

export type Answer = { status: number } | { error: string };

/** How an app is reached, as far as it was found out; who asks again and again keeps it. */
interface Way {
  host: string;
  tls: boolean;
  /** When it was last looked for, milliseconds since 1970, and where somebody listened. */
  lookedAt: number;
  found?: Promise<string[]>;
}

interface Question {
  port: number;
  path: string;
  timeoutMs: number;
  way: Way;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Keep connections; without them each question has its own, which in a cluster goes to the next instance. */
  agents?: { plain: Agent; tls: TlsAgent };
}

/** What one gets for speaking plainly to TLS, or the other way round. */
const otherProtocol = /^(ECONNRESET|EPROTO|HPE_|ERR_SSL_)/;
/** An app that does not listen yet is not looked for more often than that. Milliseconds. */
const lookMs = 500;

const askBy = (host: string, tls: boolean, question: Question): Promise<Answer> =>
  new Promise((resolve) => {
    const { port, path, timeoutMs, headers, signal, agents } = question;
    let status: number | undefined;
    let complete = false;
    const options = {
      host,
      port,
      path,
      agent: (tls ? agents?.tls : agents?.plain) ?? (false as const),
      headers: {
        host: `localhost:${port}`,
        "user-agent": "dropless",
        ...(!agents && { connection: "close" }),
        ...headers,
      },
    };
    // The certificate is for the app's name and users; this is the same machine.
    const sent = tls
      ? requestTls({ ...options, servername: "localhost", rejectUnauthorized: false })
      : request(options);
    const end = (answer: Answer) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve(answer);
      if (!agents || !complete) sent.destroy();
    };
    const onAbort = () => end({ error: "aborted" });
    // An answer that has begun and goes on for ever (server-sent events at `/`) is one.
    const timer = setTimeout(
      () => end(status === undefined ? { error: `no answer within ${timeoutMs} ms` } : { status }),
      timeoutMs,
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    sent.on("response", (response) => {
      status = response.statusCode ?? 0;
      response.on("end", () => {
        complete = true;
        end({ status: status ?? 0 });
      });
      response.on("error", (error) => end({ error: error.message }));
      response.resume();
    });
    sent.on("error", (error: NodeJS.ErrnoException) => end({ error: error.code ?? error.message }));
    if (signal?.aborted) onAbort();
    else sent.end();
  });

/** There, in the way that worked last, else in the other one; what works is kept. */
async function askAt(host: string, question: Question): Promise<Answer> {
  const { way } = question;
  // Others may find it out meanwhile.
  const { tls } = way;
  const answer = await askBy(host, tls, question);
  if ("error" in answer) {
    if (!otherProtocol.test(answer.error)) return answer;
    const other = await askBy(host, !tls, question);
    if ("error" in other) return answer;
    way.tls = !tls;
    way.host = host;
    return other;
  }
  way.host = host;
  return answer;
}

const isRefused = (answer: Answer): boolean =>
  "error" in answer && /^(ECONNREFUSED|EADDRNOTAVAIL|EHOSTUNREACH|ENETUNREACH)$/.test(answer.error);

/**
 * One GET on this machine, on whatever address the app listens, plainly or by TLS; redirects are not followed.
 * Never throws.
 */
export async function ask(question: Question): Promise<Answer> {
  const { way, port } = question;
  const { host: known } = way;
  const first = await askAt(known, question);
  if (!isRefused(first)) return first;
  const loopback = ["127.0.0.1", "::1"].filter((host) => host !== known);
  for (const host of loopback) {
    const answer = await askAt(host, question);
    if (!isRefused(answer)) return answer;
  }
  if (!way.found || performance.now() - way.lookedAt >= lookMs) {
    way.lookedAt = performance.now();
    way.found = listeners(port);
  }
  for (const host of await way.found) {
    const answer = await askAt(host, question);
    if (!isRefused(answer)) return answer;
  }
  return first;
}

/** `health` of docs/configuration.md: with a path 200 to 399; without one any answer below 500 to `/`. */
export const isHealthy = (app: AppConfig, answer: Answer): boolean =>
  "status" in answer && (app.health.path ? answer.status >= 200 && answer.status < 400 : answer.status < 500);

export const describe = (answer: Answer): string =>
  "status" in answer ? `answered ${answer.status}` : answer.error;

/** To be kept by who asks more than once. */
export const question = (app: AppConfig, port: number): Question => ({
  port,
  path: app.health.path ?? "/",
  timeoutMs: app.health.timeout,
  way: { host: "127.0.0.1", tls: false, lookedAt: 0 },
});

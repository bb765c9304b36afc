import { type Agent, request } from "node:http";
import type { AppConfig } from "../config/schema.js";

/** Which instance answers is known by this header: the preload reports requests that carry the app's probe key. */
export const probeHeader = "x-dropless-probe";

export type Answer = { status: number } | { error: string };

interface Question {
  port: number;
  path: string;
  timeoutMs: number;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Keeps connections; without one each question has its own, which in a cluster goes to the next instance. */
  agent?: Agent;
}

const askHost = (host: string, question: Question): Promise<Answer> =>
  new Promise((resolve) => {
    const { port, path, timeoutMs, headers, signal, agent } = question;
    let status: number | undefined;
    let complete = false;
    const sent = request({
      host,
      port,
      path,
      agent: agent ?? false,
      headers: {
        host: `localhost:${port}`,
        "user-agent": "dropless",
        ...(!agent && { connection: "close" }),
        ...headers,
      },
    });
    const end = (answer: Answer) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      resolve(answer);
      if (!agent || !complete) sent.destroy();
    };
    const onAbort = () => end({ error: "aborted" });
    // An answer that has begun and goes on for ever (server-sent events at `/`) is one.
    const timer = setTimeout(
      () => end(status === undefined ? { error: `no answer within ${timeoutMs} ms` } : { status }),
      timeoutMs,
    );
    signal?.addEventListener("abort", onAbort);
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

/** One GET on this machine; redirects are not followed. Never throws. */
export async function ask(question: Question): Promise<Answer> {
  const answer = await askHost("127.0.0.1", question);
  return "error" in answer && answer.error === "ECONNREFUSED" ? askHost("::1", question) : answer;
}

/** `health` of docs/configuration.md: with a path 200 to 399; without one any answer below 500 to `/`. */
export const isHealthy = (app: AppConfig, answer: Answer): boolean =>
  "status" in answer && (app.health.path ? answer.status >= 200 && answer.status < 400 : answer.status < 500);

export const describe = (answer: Answer): string =>
  "status" in answer ? `answered ${answer.status}` : answer.error;

export const question = (app: AppConfig, port: number) => ({
  port,
  path: app.health.path ?? "/",
  timeoutMs: app.health.timeout,
});

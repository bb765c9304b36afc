import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import type { Config } from "../config/schema.js";
import type { DeployStatus } from "../domain/deploy.js";
import { Fault } from "../domain/fault.js";
import { parseSse } from "./sse.js";
import {
  type Accepted,
  type AppView,
  acceptedSchema,
  appSchema,
  appsSchema,
  type DeployEvent,
  type DeployList,
  type DeployView,
  deploySchema,
  eventSchemas,
  type Health,
  healthSchema,
  listSchema,
  problemSchema,
} from "./wire.js";

export interface ClientOptions {
  /** `http://127.0.0.1:9000` */
  url: string;
  /** An operator's token, the local one, or a deploy's own. */
  token?: string;
  /** How long a lost stream is looked for again (a daemon that restarts), milliseconds. */
  patienceMs?: number;
}

interface FollowOptions {
  /** Id of the last event that was seen. */
  after?: string;
  /** Goes on with the deploy that superseded this one, and so on. */
  through?: boolean;
  signal?: AbortSignal;
}

/**
 * The daemon over HTTP. Every call throws a Fault: `no_daemon` when nothing answers (exit code 3), else the
 * code, message and hint of the daemon's own problem document.
 */
export interface Client {
  list(filter?: {
    app?: string;
    status?: DeployStatus;
    limit?: number;
    before?: string;
  }): Promise<DeployList>;
  get(id: string): Promise<DeployView>;
  deploy(app: string, ref?: string): Promise<Accepted>;
  /** Without a release: to the newest succeeded one older than the live one. */
  rollback(app: string, release?: string): Promise<Accepted>;
  cancel(id: string): Promise<DeployView>;
  hold(app: string, reason: string): Promise<AppView>;
  resume(app: string): Promise<AppView>;
  apps(): Promise<AppView[]>;
  app(name: string): Promise<AppView>;
  /** Every event once and in order, across reconnections; the last one is `end`. */
  followEvents(id: string, options?: FollowOptions): AsyncGenerator<DeployEvent>;
  /** Pieces of the plain text log. Fault `log_cut_off` when the connection breaks. */
  logs(
    id: string,
    options?: { follow?: boolean; after?: number; signal?: AbortSignal },
  ): AsyncIterable<string>;
  health(): Promise<Health>;
}

const noDaemon = (url: string, cause: unknown): Fault =>
  new Fault(
    "no_daemon",
    `No dropless answers at ${url}`,
    "Start it with `dropless serve` (or its service), or correct `server` in the configuration.",
    { cause },
  );

async function problemOf(response: Response, url: string): Promise<Fault> {
  const body: unknown = await response.json().catch(() => undefined);
  const problem = problemSchema.safeParse(body).data;
  if (problem) return new Fault(problem.code, problem.detail, problem.hint);
  return new Fault(
    "no_daemon",
    `What answers at ${url} is not dropless: it said ${response.status}`,
    "Correct `server` in the configuration, or stop what took the port.",
  );
}

const query = (values: Record<string, string | number | boolean | undefined>): string => {
  const given = Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, String(value)] as const],
  );
  return given.length > 0 ? `?${new URLSearchParams(Object.fromEntries(given))}` : "";
};

const encode = encodeURIComponent;

export function createClient({ url: base, token, patienceMs = 60_000 }: ClientOptions): Client {
  const url = base.replace(/\/+$/, "");

  /** The answer, whatever it says, or `no_daemon`. A caller's abort passes as it is. */
  async function ask(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...(token && { authorization: `Bearer ${token}` }), ...init.headers };
    try {
      return await fetch(url + path, { redirect: "error", ...init, method, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw noDaemon(url, error);
    }
  }

  async function call<Schema extends z.ZodType>(
    schema: Schema,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<z.output<Schema>> {
    const response = await ask(method, path, {
      signal: AbortSignal.timeout(30_000),
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });
    if (!response.ok) throw await problemOf(response, url);
    const parsed = schema.safeParse(await response.json().catch(() => undefined));
    if (parsed.success) return parsed.data;
    throw new Fault(
      "no_daemon",
      `What answers at ${url} is not this version of dropless`,
      "Correct `server` in the configuration, or restart the daemon after an upgrade.",
    );
  }

  /** One connection's events; returns when it is lost. */
  async function* connection(id: string, after: string | undefined, signal?: AbortSignal) {
    const response = await ask("GET", `/deploys/${encode(id)}/events`, {
      signal,
      headers: { accept: "text/event-stream", ...(after && { "last-event-id": after }) },
    });
    if (!response.ok || !response.body) throw await problemOf(response, url);
    try {
      for await (const message of parseSse(response.body)) {
        const schema = eventSchemas[message.event as keyof typeof eventSchemas];
        if (!schema || message.id === undefined) continue;
        const data = schema.parse(JSON.parse(message.data));
        yield { event: message.event, id: message.id, deploy: id, data } as DeployEvent;
      }
    } catch (error) {
      if (signal?.aborted || error instanceof Fault) throw error;
      // The connection broke: the caller asks again from the last id.
    }
  }

  async function* follow(id: string, options: FollowOptions): AsyncGenerator<DeployEvent> {
    let after = options.after;
    let lostAt: number | undefined;
    for (;;) {
      try {
        for await (const event of connection(id, after, options.signal)) {
          lostAt = undefined;
          after = event.id;
          yield event;
          if (event.event !== "end") continue;
          const next = event.data.supersededBy;
          if (options.through && next) yield* follow(next, { ...options, after: undefined });
          return;
        }
      } catch (error) {
        // A daemon that never answered is gone; one that did is likely to come back.
        const away = error instanceof Fault && ["no_daemon", "stopping"].includes(error.code);
        if (!away || (after === undefined && lostAt === undefined)) throw error;
      }
      if (lostAt !== undefined && performance.now() - lostAt > patienceMs)
        throw noDaemon(url, new Error("the stream was lost"));
      lostAt ??= performance.now();
      await sleep(Math.min(2000, 200 + (performance.now() - lostAt) / 4), undefined, {
        signal: options.signal,
      });
    }
  }

  return {
    list: (filter = {}) => call(listSchema, "GET", `/deploys${query(filter)}`),
    get: (id) => call(deploySchema, "GET", `/deploys/${encode(id)}`),
    deploy: (app, ref) => call(acceptedSchema, "POST", "/deploys", { app, ref }),
    rollback: (app, release) => call(acceptedSchema, "POST", `/apps/${encode(app)}/rollback`, { release }),
    cancel: (id) => call(deploySchema, "POST", `/deploys/${encode(id)}/cancel`),
    hold: (app, reason) => call(appSchema, "PUT", `/apps/${encode(app)}/hold`, { reason }),
    resume: (app) => call(appSchema, "DELETE", `/apps/${encode(app)}/hold`),
    apps: async () => (await call(appsSchema, "GET", "/apps")).apps,
    app: (name) => call(appSchema, "GET", `/apps/${encode(name)}`),
    followEvents: (id, options = {}) => follow(id, options),
    async *logs(id, { follow, after, signal } = {}) {
      const path = `/deploys/${encode(id)}/logs${query({ follow: follow ? 1 : undefined, after })}`;
      const response = await ask("GET", path, { signal });
      if (!response.ok || !response.body) throw await problemOf(response, url);
      const decoder = new TextDecoder();
      try {
        for await (const chunk of response.body) yield decoder.decode(chunk, { stream: true });
      } catch (error) {
        if (signal?.aborted) throw error;
        throw new Fault(
          "log_cut_off",
          "The connection to dropless broke while the log was read",
          "Ask again; `dropless logs -f` goes on from where it was.",
          { cause: error },
        );
      }
    },
    health: () => call(healthSchema, "GET", "/healthz"),
  };
}

/** Where the command line finds the local daemon's token, below the data folder. Mode 0600. */
export const cliTokenFile = (dataDir: string): string => join(dataDir, "cli-token");

/** The daemon of this configuration on this host, with its local admin token. */
export function connectLocally({ server, dataDir }: Config): Client {
  const anywhere: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "[::1]" };
  const host = anywhere[server.host] ?? (server.host.includes(":") ? `[${server.host}]` : server.host);
  const url = `http://${host}:${server.port}`;
  const file = cliTokenFile(dataDir);
  try {
    return createClient({ url, token: readFileSync(file, "utf8").trim() });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw noDaemon(url, error);
    throw new Fault(
      "token_unreadable",
      `The local token ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? "error"})`,
      "Run the command as the user that runs dropless, for example with sudo -u.",
      { cause: error },
    );
  }
}

import { createHash, createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { stringify } from "yaml";
import { createDeployLogs } from "../../src/adapters/deploy-log/logs.js";
import { openStore } from "../../src/adapters/sqlite/store.js";
import { loadConfig } from "../../src/config/load.js";
import type { Config } from "../../src/config/schema.js";
import { isEnded, type Outcome } from "../../src/domain/deploy.js";
import { createIds } from "../../src/domain/ids.js";
import type { Instance, Queue, Recorder } from "../../src/domain/ports.js";
import { createRedactor } from "../../src/domain/redact.js";
import { releaseName } from "../../src/domain/release.js";
import { createClient } from "../../src/http/client.js";
import type { HttpDeps } from "../../src/http/deps.js";
import { createServer } from "../../src/http/server.js";
import { createQueue } from "../../src/queue/queue.js";
import { tempDir } from "../support/temp.js";

export const secrets = {
  api: "the-secret-of-the-api",
  web: "the-secret-of-the-web",
  twin: "the-secret-of-the-twin",
};
export const operators = {
  reader: "token-of-reader",
  deployer: "token-of-deployer",
  admin: "token-of-admin",
};

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
export const sign = (body: string | Buffer, secret = secrets.api) =>
  `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;

export const instance: Instance = {
  pmId: 3,
  name: "api",
  pid: 4242,
  status: "online",
  number: 0,
  restarts: 0,
  uptimeMs: 1000,
  memoryBytes: 50_000_000,
  cwd: "/srv/api",
  script: "/srv/api/server.js",
};

/** Whatever JSON came back; tests say what they expect of it. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
type Answered = Record<string, any>;

interface Run {
  recorder: Recorder;
  end(outcome: Outcome): void;
}

/**
 * The HTTP side over the real queue, store and logs, with a pipeline that does what the test says. Deploys run as
 * soon as `begin()` was called; until then everything waits.
 */
export async function bench(
  options: {
    server?: Record<string, unknown>;
    apps?: Record<string, unknown>;
    /** More keys of the configuration. */
    more?: Record<string, unknown>;
    deps?: (config: Config, queue: Queue) => Partial<HttpDeps>;
    patience?: HttpDeps["patience"];
  } = {},
) {
  const dir = tempDir("http");
  const app = (name: keyof typeof secrets, more = {}) => ({
    repository: `git@github.com:acme/${name}.git`,
    root: join(dir, name),
    secrets: [`env:${name}`],
    pm2: { script: "server.js" },
    ...more,
  });
  writeFileSync(
    join(dir, "dropless.yaml"),
    stringify({
      dataDir: "data",
      server: { publicUrl: "https://deploy.example.com/", ...options.server },
      tokens: [
        { name: "reader", scope: "read", sha256: sha256(operators.reader) },
        { name: "deployer", scope: "deploy", sha256: sha256(operators.deployer) },
        { name: "admin", scope: "admin", sha256: sha256(operators.admin) },
      ],
      ...options.more,
      apps: {
        api: app("api"),
        web: app("web"),
        twin: app("twin", { repository: "https://token:x@github.com/acme/api", branch: "next" }),
        ...options.apps,
      },
    }),
  );
  const { config } = loadConfig({ cwd: dir, env: secrets, home: dir });

  const redactor = createRedactor(Object.values(secrets));
  const logs = createDeployLogs({
    dir: join(config.dataDir, "logs"),
    redact: redactor,
  });
  const store = openStore(config.dataDir);
  const runs: Run[] = [];
  const waiters: (() => void)[] = [];
  const wake = () => {
    for (const waiter of waiters.splice(0)) waiter();
  };
  const queue = createQueue({
    store,
    logs,
    ids: createIds(),
    isApp: (name) => name in config.apps,
    run: (recorder, signal) =>
      new Promise((end) => {
        const canceled = { code: "canceled", message: "A person canceled it.", hint: "Deploy again." };
        signal.addEventListener("abort", () => end({ status: "canceled", error: canceled }));
        runs.push({ recorder, end });
        wake();
      }),
  });
  queue.subscribe(wake);
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise<void>((resolve) => waiters.push(resolve));
  };

  const lines = new PassThrough();
  const logged: string[] = [];
  lines.on("data", (chunk) => logged.push(String(chunk)));
  const world = {
    ready: true,
    instances: async (): Promise<Instance[]> => [instance],
    onDisk: [] as string[],
  };
  const server = await createServer({
    config,
    queue,
    logs,
    logger: pino({ level: "debug" }, lines),
    version: "0.0.0",
    redactor,
    ready: () => world.ready,
    instances: () => world.instances(),
    releasesOf: async () => world.onDisk,
    patience: options.patience,
    ...options.deps?.(config, queue),
  });
  let url: Promise<string> | undefined;
  /** Listens on a free port of 127.0.0.1, the first time. */
  const listen = (): Promise<string> => {
    url ??= server
      .listen({ host: "127.0.0.1", port: 0 })
      .then(() => `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`);
    return url;
  };
  onTestFinished(async () => {
    await server.close();
    await queue.stop({ graceMs: 0 });
    store.close();
  });

  const inject = async (
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    given: { body?: unknown; token?: string | null; headers?: Record<string, string> } = {},
  ) => {
    const token = given.token === undefined ? operators.admin : given.token;
    const response = await server.inject({
      method,
      url: path,
      headers: { ...(token !== null && { authorization: `Bearer ${token}` }), ...given.headers },
      ...(given.body !== undefined && { payload: given.body as object }),
    });
    const isJson = /json/.test(String(response.headers["content-type"]));
    return {
      status: response.statusCode,
      headers: response.headers,
      text: response.body,
      body: (isJson ? response.json() : {}) as Answered,
    };
  };

  const deliver = (
    payload: unknown,
    event?: string,
    more: { secret?: string; headers?: Record<string, string> } = {},
  ) => {
    const body = typeof payload === "string" ? payload : JSON.stringify(payload);
    return inject("POST", "/webhooks/deploy", {
      token: null,
      body,
      headers: {
        "content-type": "application/json",
        "x-hub-signature-256": sign(body, more.secret),
        ...(event && { "x-github-event": event }),
        ...more.headers,
      },
    });
  };

  return {
    config,
    dir,
    queue,
    logs,
    logged,
    world,
    server,
    inject,
    deliver,
    runs,
    until,
    /** From now on deploys run. */
    begin: () => queue.start(),
    run: async (n: number): Promise<Run> => {
      await until(() => runs.length >= n);
      return runs[n - 1] as Run;
    },
    ended: (id: string) =>
      until(() => {
        const deploy = queue.get(id);
        return deploy !== undefined && isEnded(deploy);
      }),
    /** Runs a deploy of an app to success, as release of its commit, and gives the deploy's id. */
    async live(app: string, sha: string): Promise<{ id: string; release: string }> {
      const before = runs.length;
      const commit = { sha, message: `commit ${sha.slice(0, 7)}`, author: "Ann" };
      const submission = queue.ask({ app, trigger: "manual", ref: "refs/heads/main", commit });
      if (submission.kind !== "queued") throw new Error("not queued");
      const { id } = submission.deploy;
      await until(() => runs.length > before);
      const { recorder, end } = runs[before] as Run;
      const release = releaseName(sha, new Date());
      recorder.release(release);
      recorder.live({ release, sha, deploy: id, since: new Date().toISOString() });
      world.onDisk.push(release);
      end({ status: "succeeded" });
      await until(() => queue.get(id)?.status === "succeeded");
      return { id, release };
    },
    listen,
    client: async (token: string = operators.admin) => createClient({ url: await listen(), token }),
  };
}

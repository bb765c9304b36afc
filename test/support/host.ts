import { type ChildProcess, spawn } from "node:child_process";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { stringify } from "yaml";
import { createPrivatePm2, type PrivatePm2 } from "./pm2.js";
import { freePort, makeTempDir, removeTempDir } from "./temp.js";

const project = join(import.meta.dirname, "../..");

/** A deploy as the API answers it; only what tests read. */
export interface DeployAnswer {
  id: string;
  app: string;
  status: string;
  trigger: string;
  commit: { sha: string; message: string; author: string };
  steps: { name: string; status: string; durationMs?: number }[];
  release?: string;
  previous?: string;
  receipt?: { probes: number; failed: number; maxGapMs: number };
  error?: { code: string; message: string; hint: string; step?: string };
  supersededBy?: string;
  attempt: number;
  logTail: string[];
  urls: { self: string; logs: string; events: string };
  token?: string;
}

export interface Answer<T = Record<string, unknown>> {
  status: number;
  body: T;
  headers: Headers;
}

/** What an app's block says in a test; quick waits instead of the defaults for people. */
const quick = {
  health: { path: "/", successes: 2, soak: "300ms", watch: "700ms", ready: "20s" },
  drain: { timeout: "8s" },
};

export type Host = Awaited<ReturnType<typeof createHost>>;

/**
 * A whole server of its own: HOME, PM2_HOME, data folder, roots and ports are private and temporary.
 * The daemon is the built one (`dist/main.js`) in a process of its own.
 */
export async function createHost(
  options: { node?: string; env?: Record<string, string>; pm2?: PrivatePm2 } = {},
) {
  const dir = makeTempDir("host");
  const pm2 = options.pm2 ?? (await createPrivatePm2());
  const port = await freePort();
  const secret = randomBytes(20).toString("hex");
  const token = randomBytes(20).toString("hex");
  const configFile = join(dir, "dropless.yaml");
  const apps: Record<string, Record<string, unknown>> = {};
  /** The configuration's `server`; a change takes effect at the next start. */
  const server: Record<string, unknown> = { port };
  /** Further keys at the top of the configuration; a change takes effect at the next start. */
  const more: Record<string, unknown> = {};
  const url = `http://127.0.0.1:${port}`;
  const output: string[] = [];
  let daemon: ChildProcess | undefined;

  const writeConfig = () =>
    writeFileSync(
      configFile,
      stringify({
        dataDir: join(dir, "data"),
        server,
        pm2Home: pm2.home,
        tokens: [
          { name: "tester", scope: "admin", sha256: createHash("sha256").update(token).digest("hex") },
        ],
        apps,
        ...more,
      }),
    );

  /** The daemon's environment; also what the command line gets. */
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? "",
    HOME: pm2.env.HOME ?? dir,
    PM2_HOME: pm2.home,
    // Where the machine has certificates of its own, package managers need them too.
    ...(process.env.NODE_EXTRA_CA_CERTS && { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS }),
    DROPLESS_CONFIG: configFile,
    DEPLOY_SECRET: secret,
    ...options.env,
  };

  async function start(): Promise<void> {
    writeConfig();
    const child = spawn(options.node ?? process.execPath, [join(project, "dist/main.js")], {
      cwd: dir,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    daemon = child;
    child.stderr.on("data", (chunk) => output.push(String(chunk)));
    const lines = createInterface({ input: child.stdout });
    const ready = new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => {
        output.push(line);
        if (line.includes('"msg":"ready"')) resolve();
      });
      child.once("exit", (code) =>
        reject(new Error(`the daemon ended with ${code}:\n${output.slice(-20).join("\n")}`)),
      );
    });
    await ready;
  }

  async function stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = daemon;
    daemon = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Resolves when the daemon has ended by itself. */
  async function died(): Promise<void> {
    const child = daemon;
    if (child && child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }

  async function call<T = Record<string, unknown>>(
    method: string,
    path: string,
    body?: unknown,
    as = token,
  ): Promise<Answer<T>> {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(as ? { authorization: `Bearer ${as}` } : {}),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text.startsWith("{") ? JSON.parse(text) : text) as T,
    };
  }

  const sign = (body: string | Buffer, key = secret): string =>
    `sha256=${createHmac("sha256", key).update(body).digest("hex")}`;

  async function post<T = Record<string, unknown>>(
    body: string,
    headers: Record<string, string>,
  ): Promise<Answer<T>> {
    const response = await fetch(`${url}/webhooks/deploy`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: JSON.parse(text) as T };
  }

  /** A push event as GitHub sends it, signed. */
  function push(
    fullName: string,
    sha: string,
    more: { branch?: string; delivery?: string; message?: string } = {},
  ) {
    const body = JSON.stringify({
      ref: `refs/heads/${more.branch ?? "main"}`,
      before: "0".repeat(40),
      after: sha,
      deleted: false,
      repository: { full_name: fullName },
      head_commit: { id: sha, message: more.message ?? "a change", author: { name: "Ada" } },
      nonce: more.delivery ?? randomBytes(6).toString("hex"),
    });
    return post<
      DeployAnswer & {
        ignored?: string;
        duplicate?: boolean;
        deploys?: DeployAnswer[];
        code?: string;
        hint?: string;
      }
    >(body, {
      "x-github-event": "push",
      "x-github-delivery": more.delivery ?? randomBytes(12).toString("hex"),
      "x-hub-signature-256": sign(body),
    });
  }

  /** Follows the deploy's own event stream to its end; works across restarts of the daemon. */
  async function ended(id: string, limitMs = 180_000): Promise<DeployAnswer> {
    const signal = AbortSignal.timeout(limitMs);
    for (;;) {
      try {
        const response = await fetch(`${url}/deploys/${id}/events`, {
          headers: { authorization: `Bearer ${token}` },
          signal,
        });
        if (response.ok) for await (const _ of response.body ?? []);
      } catch {
        // The daemon is away, or the bound is reached: the next lines tell which.
      }
      if (signal.aborted)
        throw new Error(`deploy ${id} did not end in ${limitMs} ms:\n${output.slice(-30).join("\n")}`);
      const answer = await call<DeployAnswer>("GET", `/deploys/${id}`).catch(() => undefined);
      if (answer?.status === 200 && !["queued", "running"].includes(answer.body.status)) return answer.body;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Resolves as soon as the deploy's stream tells of the step; false when the deploy ended before. */
  async function reached(id: string, step: string): Promise<boolean> {
    const response = await fetch(`${url}/deploys/${id}/events`, {
      headers: { authorization: `Bearer ${token}` },
    });
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      if (text.includes(`"name":"${step}","status":"running"`)) return true;
    }
    return false;
  }

  const logOf = async (id: string): Promise<string> => {
    const response = await fetch(`${url}/deploys/${id}/logs`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return response.text();
  };

  return {
    dir,
    pm2,
    port,
    url,
    secret,
    token,
    env,
    configFile,
    server,
    more,
    /** Everything the daemon printed. */
    output,
    pid: () => daemon?.pid,
    /** Adds an app to the configuration; takes effect at the next start. */
    addApp(name: string, block: Record<string, unknown>): string {
      const root = join(dir, "apps", name);
      mkdirSync(root, { recursive: true });
      apps[name] = { root, secrets: ["env:DEPLOY_SECRET"], ...quick, ...block };
      return root;
    },
    writeConfig,
    start,
    stop,
    died,
    call,
    post,
    push,
    sign,
    ended,
    reached,
    logOf,
    /** A push that must be accepted, followed to its end. */
    async deploy(fullName: string, sha: string): Promise<DeployAnswer> {
      const answer = await push(fullName, sha);
      if (answer.status !== 202) throw new Error(`push: ${answer.status} ${JSON.stringify(answer.body)}`);
      return ended(answer.body.id);
    },
    environOf: (pid: number): string => readFileSync(`/proc/${pid}/environ`, "utf8"),
    async end(): Promise<void> {
      await stop("SIGKILL");
      if (!options.pm2) await pm2.end();
      removeTempDir(dir);
    },
  };
}

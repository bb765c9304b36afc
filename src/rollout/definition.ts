import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import type { AppConfig } from "../config/schema.js";
import { Fault } from "../domain/fault.js";
import { files, place, scriptOf, stableFile } from "./paths.js";
import type { Mode, StartSpec } from "./pm2.js";
import type { Target } from "./types.js";

/** One app of an ecosystem file, or the inline `pm2` block: PM2's own names. */
export type Definition = Record<string, unknown>;

/** One PM2 name of a target, and how each of its instances is started. */
export interface Wanted {
  name: string;
  mode: Mode;
  count: number;
  /** It is the one that listens on the app's port. */
  serves: boolean;
  /** It carries the preload, which reports what it does. */
  reports: boolean;
  /** It can boot beside others and accept only when it is let: its preload waits for that. */
  standsBy: boolean;
  /** The same process without PM2, for preflight, and what it needs in its environment. */
  command: readonly [string, ...string[]];
  aside: Record<string, string>;
  /** Who it runs as, when that is not who runs PM2. */
  account: { user?: string; group?: string };
  spec(number: number): StartSpec;
}

const aliases: Record<string, string> = {
  exec: "script",
  cmd: "script",
  command: "script",
  interpreter: "exec_interpreter",
  interpreter_args: "node_args",
  interpreterArgs: "node_args",
};
const notNode = /\.(sh|py|rb|php|pl|coffee|ls|tsx?)$/;
/** They run the app in a process of their own, which a preload in them does not reach. */
const launchers = /(^|\/)(npm|npx|pnpm|yarn|bun|bash|sh)$/;

const stringified = (env: unknown): Record<string, string> =>
  Object.fromEntries(
    Object.entries((env ?? {}) as Record<string, unknown>)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]),
  );

/** `max`, 0: one for each core; negative: all cores but so many; at least 1 (lib/God.js, prepare). */
export function instanceCount(value: unknown, cores: number): number {
  if (value === undefined || value === null || value === "") return 1;
  const wish = value === "max" ? 0 : Math.trunc(Number(value)) || 0;
  return Math.max(1, wish > 0 ? wish : cores + wish);
}

/** A list, or one string of several words. */
const words = (value: unknown): string[] =>
  Array.isArray(value)
    ? value.map(String)
    : String(value ?? "")
        .split(/\s+/)
        .filter(Boolean);

function unalias(definition: Definition): Definition {
  const plain: Definition = { ...definition };
  for (const [alias, name] of Object.entries(aliases)) {
    if (plain[alias] !== undefined && plain[name] === undefined) plain[name] = plain[alias];
    delete plain[alias];
  }
  return plain;
}

const nameOf = (definition: Definition, app: AppConfig, single: boolean): string => {
  if (typeof definition.name === "string" && definition.name !== "") return definition.name;
  if (single) return app.name;
  return String(definition.script ?? "")
    .split("/")
    .at(-1)
    ?.replace(/(?!^)\.[^.]*$/, "") as string;
};

/**
 * Which of several serves the app's port: the one that says so (`port`, PORT), else the one that has the app's
 * name, else the first in cluster mode, else the first.
 */
function servingOne(all: readonly Definition[], app: AppConfig): Definition | undefined {
  if (app.port === undefined) return undefined;
  const port = String(app.port);
  const says = ({ port: own, env, env_production }: Definition) =>
    [own, stringified(env).PORT, stringified(env_production).PORT].some((one) => String(one) === port);
  return (
    all.find(says) ??
    all.find(({ name }) => name === app.name) ??
    all.find(({ exec_mode, instances }) => /cluster/.test(String(exec_mode)) || instances !== undefined) ??
    all[0]
  );
}

export interface Host {
  /** As PM2 counts them for `instances: max`. */
  cores: number;
  /** What a request must carry for the preload to report who answered it. */
  probeKey: string;
}

function wantedOf(
  definition: Definition,
  target: Target,
  serves: boolean,
  name: string,
  { cores, probeKey }: Host,
): Wanted {
  const { app, release, deploy } = target;
  const base = join(release.path, app.directory);
  const cwd = definition.cwd === undefined ? base : place(String(definition.cwd), base, release.path);
  const { script, file } = scriptOf(definition.script, cwd, base);
  const interpreter = definition.exec_interpreter as string | undefined;
  const isNode = file && (interpreter ? /(^|\/)node(@.*)?$/.test(interpreter) : !notNode.test(script));
  const asked = String(definition.exec_mode ?? "");
  const cluster = asked === "" ? definition.instances !== undefined && isNode : asked.startsWith("cluster");
  const preload = join(release.path, ".dropless", "preload.cjs");
  const reports = isNode && !launchers.test(script) && existsSync(preload);
  const drain = app.drain === false || !reports ? 0 : app.drain.timeout;

  const nodeArgs = words(definition.node_args);
  const { env, env_production, ...rest } = definition;
  const kept = Object.fromEntries(Object.entries(rest).filter(([key]) => !key.startsWith("env_")));
  for (const key of files) {
    if (typeof kept[key] === "string") kept[key] = stableFile(kept[key], cwd, target);
  }
  const own: Record<string, string> = { ...stringified(env), ...stringified(env_production) };
  if (definition.port !== undefined) own.PORT = String(definition.port);
  else if (serves && app.port !== undefined && app.env.PORT === undefined) own.PORT ??= String(app.port);

  const user = definition.uid ?? definition.user;
  const instanceVar = String(definition.instance_var ?? "NODE_APP_INSTANCE");
  const interpreters: Record<string, string> = {
    ".sh": "bash",
    ".py": "python3",
    ".rb": "ruby",
    ".php": "php",
  };
  const runner = interpreter ?? interpreters[extname(script)];
  const args = words(definition.args);
  // PM2's cluster instances live on after a rejection nobody caught; one that listens all the same is no worse aside.
  const likePm2 = cluster ? ["--unhandled-rejections=warn"] : [];
  const nodeWithPreload = reports ? ["--require", preload, ...nodeArgs] : nodeArgs;
  return {
    name,
    mode: cluster ? "cluster" : "fork",
    count: instanceCount(definition.instances, cores),
    serves,
    reports,
    // With wait_ready PM2 waits for the app to be ready, and the app to listen. Older preloads do not know it.
    standsBy:
      serves &&
      reports &&
      cluster &&
      !definition.wait_ready &&
      existsSync(join(release.path, ".dropless", "standby.cjs")),
    account: {
      ...(user !== undefined && { user: String(user) }),
      ...(definition.gid !== undefined && { group: String(definition.gid) }),
    },
    // Behind `npm start` or a shell script the preload finds the app's Node this way, to move its port.
    aside: !reports && existsSync(preload) ? { NODE_OPTIONS: `--require ${JSON.stringify(preload)}` } : {},
    command: isNode
      ? [process.execPath, ...likePm2, ...nodeWithPreload, script, ...args]
      : script.includes(" ")
        ? ["/bin/sh", "-c", script]
        : runner !== undefined && runner !== "none"
          ? [runner, ...nodeArgs, script, ...args]
          : [script, ...args],
    spec: (number) => ({
      definition: {
        vizion: false,
        ...kept,
        name,
        script,
        cwd,
        exec_mode: cluster ? "cluster" : "fork",
        node_args: nodeWithPreload,
        ...(reports && {
          kill_timeout: Number(definition.kill_timeout ?? 1600) + drain,
          // How often PM2 looks whether it has ended; its own 100 ms are a quarter of a drain without traffic.
          kill_retry_time: Number(definition.kill_retry_time ?? 50),
          treekill: false,
        }),
      },
      env: {
        ...own,
        ...target.env,
        DROPLESS_APP: app.name,
        DROPLESS_RELEASE: release.name,
        DROPLESS_DEPLOY: deploy,
        DROPLESS_PROBE_KEY: probeKey,
        ...(serves && { DROPLESS_PORT: String(app.port) }),
        ...(app.drain === false ? { DROPLESS_DRAIN: "off" } : { DROPLESS_DRAIN_TIMEOUT: String(drain) }),
      },
      number,
      instanceVar,
    }),
  };
}

/** What is to run for a target: one entry for each PM2 name. Faults: `script_missing`, `pm2_config`. */
export function wantedFrom(definitions: readonly Definition[], target: Target, host: Host): Wanted[] {
  const { app } = target;
  const only = "config" in app.pm2 ? (app.pm2.only as string[] | undefined) : undefined;
  const plain = definitions.map(unalias);
  const named = plain.map((one) => ({ one, name: nameOf(one, app, plain.length === 1) }));
  const chosen = only ? named.filter(({ name }) => only.includes(name)) : named;
  const unknown = only?.filter((name) => !named.some((one) => one.name === name)) ?? [];
  if (unknown.length > 0 || chosen.length === 0) {
    throw new Fault(
      "pm2_config",
      unknown.length > 0
        ? `the ecosystem file has no app named ${unknown.join(", ")}`
        : "the ecosystem file lists no apps",
      `It has: ${named.map(({ name }) => name).join(", ") || 'nothing; under "type": "module" write `export default` or name it .cjs'}.`,
    );
  }
  const serving = servingOne(
    chosen.map(({ one }) => one),
    app,
  );
  return chosen.map(({ one, name }) => wantedOf(one, target, one === serving, name, host));
}

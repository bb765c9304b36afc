import { dirname } from "node:path";
import type { z } from "zod";
import { configInvalid, readConfigFile } from "./document.js";
import { type ConfigFault, configFaults } from "./faults.js";
import { absolutePath, findConfig, type Surroundings, surroundings } from "./find.js";
import { brokenRules } from "./rules.js";
import { salvage } from "./salvage.js";
import { type AppConfig, type Config, configSchema, isSecretReference, type NotifyConfig } from "./schema.js";
import { isPrivateKey, resolveSecret, secretsIn } from "./secrets.js";

export interface LoadOptions extends Partial<Surroundings> {
  /** The value of `--config`. */
  config?: string;
  /**
   * `false`: leave the secrets out, for the command line, which needs none of them and is often run where
   * they are not set.
   */
  secrets?: boolean;
}

export interface Loaded {
  config: Config;
  /** Variables that hold secrets: `forgetSecrets` takes them out of the environment. */
  secretEnvNames: string[];
}

type Parsed = z.output<typeof configSchema>;

function complete(parsed: Parsed, file: string, around: Surroundings, withSecrets: boolean) {
  const folder = dirname(file);
  const absolute = (path: string) => absolutePath(path, folder, around.home);
  // `./api` counts from the file's folder as every path does; URLs stay as they are.
  const repository = (text: string) => (/^(\.{1,2}|~)(\/|$)/.test(text) ? absolute(text) : text);
  const faults: ConfigFault[] = [];

  const resolve = (path: string, reference: string): string[] => {
    const found = resolveSecret(reference, folder, around.home, around.env);
    if ("secret" in found) return [found.secret];
    faults.push({ path, ...found.fault });
    return [];
  };
  const secretsOf = (name: string, references: string[]): string[] =>
    references.flatMap((reference, index) => resolve(`apps.${name}.secrets.${index}`, reference));

  const notification = (target: NotifyConfig, index: number): NotifyConfig[] => {
    const path = `notify.${index}`;
    const [url] = isSecretReference(target.url) ? resolve(`${path}.url`, target.url) : [target.url];
    const [secret] = target.secret === undefined ? [] : resolve(`${path}.secret`, target.secret);
    if (url === undefined || (target.secret !== undefined && secret === undefined)) return [];
    if (URL.canParse(url) && /^https?:\/\//.test(url)) return [{ ...target, url, secret }];
    faults.push({
      path: `${path}.url`,
      message: "is no http address",
      hint: "Copy the whole https:// address.",
    });
    return [];
  };

  const github = (given: Config["github"]): Config["github"] => {
    const secret = (key: "token" | "privateKey") =>
      given?.[key] === undefined ? undefined : resolve(`github.${key}`, given[key])[0];
    const [token, privateKey] = [secret("token"), secret("privateKey")];
    if (privateKey !== undefined && !isPrivateKey(privateKey))
      faults.push({
        path: "github.privateKey",
        message: "is no private key",
        hint: "Name the .pem file that GitHub made for the App, whole and unchanged: `file:PATH`.",
      });
    return given && { ...given, token, privateKey };
  };

  // Without a prototype, so that `apps["constructor"]` from a request finds nothing.
  const apps: Record<string, AppConfig> = Object.create(null);
  for (const [name, app] of Object.entries(parsed.apps))
    apps[name] = {
      ...app,
      name,
      secrets: withSecrets ? secretsOf(name, app.secrets) : [],
      repository: repository(app.repository),
      root: absolute(app.root),
      envFile: app.envFile === undefined ? undefined : absolute(app.envFile),
    };
  const config: Config = {
    ...parsed,
    file,
    dataDir: absolute(parsed.dataDir),
    pm2Home: absolute(parsed.pm2Home ?? (around.env.PM2_HOME || "~/.pm2")),
    github: withSecrets ? github(parsed.github) : undefined,
    notify: withSecrets ? parsed.notify.flatMap(notification) : [],
    apps,
  };
  return { config, faults: [...faults, ...brokenRules(config)] };
}

/**
 * The configuration, ready to use: paths absolute (relative ones count from the file's folder), secrets in
 * place of their references, defaults filled in. Throws `config_invalid` naming every fault at once.
 */
export function loadConfig(options: LoadOptions = {}): Loaded {
  const { cwd, env, home } = surroundings();
  const around = { cwd: options.cwd ?? cwd, env: options.env ?? env, home: options.home ?? home };
  const file = findConfig(options.config, around);
  const { data, locate } = readConfigFile(file);

  const parsed = configSchema.safeParse(data);
  const faults = parsed.success ? [] : configFaults(parsed.error.issues, data, configSchema);
  const usable = parsed.success ? parsed.data : salvage(data, parsed.error.issues);
  const completed = usable && complete(usable, file, around, options.secrets !== false);
  const known = new Set(faults.map((fault) => fault.path));
  faults.push(...(completed?.faults ?? []).filter((fault) => !known.has(fault.path)));
  if (faults.length > 0 || !completed) throw configInvalid(file, locate(faults));

  const names = secretsIn(usable)
    .filter((reference) => reference.startsWith("env:"))
    .map((reference) => reference.slice("env:".length));
  return { config: completed.config, secretEnvNames: [...new Set(names)] };
}

import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { parseEnv } from "node:util";
import type { AppConfig } from "../config/schema.js";
import { Fault } from "../domain/fault.js";

const passed =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|SSH_AUTH_SOCK|SSL_CERT_(?:FILE|DIR)|NODE_EXTRA_CA_CERTS|(?:https?|no|all)_proxy)$/i;

/** The clean base for every command (docs/configuration.md): of the daemon's environment only what finds programs and the network. */
export function baseEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  const base: Record<string, string> = {};
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && passed.test(name)) base[name] = value;
  const path = (base.PATH ?? "/usr/local/bin:/usr/bin:/bin").split(delimiter);
  // Under systemd the PATH does not know of nvm and the like: then it is the Node that runs dropless.
  if (!path.some((dir) => existsSync(join(dir, "node")))) path.push(dirname(process.execPath));
  return { ...base, PATH: path.join(delimiter) };
}

/** `env` over `envFile`: what reaches migrate, hooks, preflight and the app. Fault `env_file_unreadable`. */
export function appEnv(app: Pick<AppConfig, "name" | "env" | "envFile">): Record<string, string> {
  if (app.envFile === undefined) return { ...app.env };
  let text: string;
  try {
    text = readFileSync(app.envFile, "utf8");
  } catch (error) {
    throw new Fault(
      "env_file_unreadable",
      `The envFile of ${app.name} cannot be read: ${(error as Error).message}`,
      "Make it readable for the user that dropless runs as, or correct `envFile`.",
    );
  }
  const fromFile: Record<string, string> = {};
  for (const [name, value] of Object.entries(parseEnv(text))) if (value !== undefined) fromFile[name] = value;
  return { ...fromFile, ...app.env };
}

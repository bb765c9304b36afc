import { createPrivateKey } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { ConfigFault } from "./faults.js";
import { absolutePath } from "./find.js";
import type { Config } from "./schema.js";

/** Fewer bytes than this can be guessed from one signed delivery. */
const leastBytes = 16;
const mostBytes = 4096;

type Resolved = { secret: string } | { fault: Omit<ConfigFault, "path"> };

const make = "Make one with `openssl rand -hex 32` and give the same to GitHub.";

function read(reference: string, folder: string, home: string, env: NodeJS.ProcessEnv): Resolved {
  const rest = reference.slice(reference.indexOf(":") + 1);
  if (reference.startsWith("env:")) {
    const value = env[rest];
    if (value) return { secret: value };
    return {
      fault: {
        message: `the environment variable ${rest} is ${value === undefined ? "not set" : "empty"}`,
        hint: `Set it where dropless is started (systemd: EnvironmentFile=), or use file:PATH. ${make}`,
      },
    };
  }
  const file = absolutePath(rest, folder, home);
  try {
    if (statSync(file).size > mostBytes)
      return {
        fault: {
          message: `${file} is too large for a secret`,
          hint: `A secret is one line of text. ${make}`,
        },
      };
    return { secret: readFileSync(file, "utf8").trim() };
  } catch (error) {
    return {
      fault: {
        message: `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? "error"})`,
        hint: `The file holds the secret alone and is readable by dropless's user only. ${make}`,
      },
    };
  }
}

/** The secret behind `env:NAME` or `file:PATH`. It is never part of a fault's text. */
export function resolveSecret(
  reference: string,
  folder: string,
  home: string,
  env: NodeJS.ProcessEnv,
): Resolved {
  const found = read(reference, folder, home, env);
  if ("fault" in found || Buffer.byteLength(found.secret) >= leastBytes) return found;
  return { fault: { message: `the secret has fewer than ${leastBytes} bytes`, hint: make } };
}

/** An RSA key in PEM, as GitHub gives one for an App. */
export function isPrivateKey(text: string): boolean {
  try {
    return createPrivateKey(text).asymmetricKeyType === "rsa";
  } catch {
    return false;
  }
}

/** Every secret of a configuration (its references, as long as they are not resolved): what nothing may show. */
export const secretsIn = (config: {
  apps: Record<string, Pick<Config["apps"][string], "secrets">>;
  notify: Config["notify"];
  github?: Config["github"];
}): string[] => [
  ...Object.values(config.apps).flatMap((app) => app.secrets),
  ...[config.github?.token, config.github?.privateKey].filter((secret) => secret !== undefined),
  ...config.notify.flatMap(({ url, secret }) => [url, ...(secret === undefined ? [] : [secret])]),
];

/** Takes the secrets out of this process's environment, so that no child process can inherit one. */
export function forgetSecrets(names: string[], env: NodeJS.ProcessEnv = process.env): void {
  for (const name of names) delete env[name];
}

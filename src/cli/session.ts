import { readFileSync } from "node:fs";
import { loadConfig } from "../config/load.js";
import type { Config } from "../config/schema.js";
import { Fault } from "../domain/fault.js";
import { type Client, cliTokenFile, createClient } from "../http/client.js";
import { createTerminal, type Io, type Terminal } from "./terminal.js";

/** The options every command takes. */
export interface SharedOptions {
  config?: string;
  json?: boolean;
  /** Commander's way with `--no-color`. */
  color?: boolean;
}

/** What a command works with. Nothing is read before it is asked for. */
export interface Session {
  io: Io;
  terminal: Terminal;
  json: boolean;
  /** The configuration without its secrets, which an operator's shell has no need of. */
  config(): Config;
  /** The daemon's address; `DROPLESS_URL` for one on another host. */
  url(): string;
  client(): Client;
  /** The same, talking to this host's daemon at another address. */
  at(url: string): Session;
}

export function createSession(io: Io, options: SharedOptions): Session {
  let config: Config | undefined;
  const session: Session = {
    io,
    json: options.json ?? false,
    terminal: createTerminal(io, { noColour: options.color === false }),
    config() {
      config ??= loadConfig({ config: options.config, cwd: io.cwd, env: io.env, secrets: false }).config;
      return config;
    },
    url: () => io.env.DROPLESS_URL || addressOf(session.config().server),
    at: (url) => ({
      ...session,
      url: () => url,
      client: () => createClient({ url, token: localToken(session.config().dataDir), patienceMs: 0 }),
    }),
    client: () => createClient({ url: session.url(), token: tokenOf(session), patienceMs: 0 }),
  };
  return session;
}

/** Where to reach a server that may listen on every address. */
export function addressOf({ host, port }: Config["server"]): string {
  const name = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
}

function tokenOf(session: Session): string {
  if (session.io.env.DROPLESS_TOKEN) return session.io.env.DROPLESS_TOKEN;
  // The file is an admin's token for this host's daemon: it goes nowhere else.
  if (session.io.env.DROPLESS_URL)
    throw new Fault(
      "usage",
      "DROPLESS_URL names a daemon, but DROPLESS_TOKEN is not set",
      "Make a token on that server with `dropless token create NAME --scope deploy`, and set DROPLESS_TOKEN to it.",
    );
  return localToken(session.config().dataDir);
}

function localToken(dataDir: string): string {
  const file = cliTokenFile(dataDir);
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      throw new Fault(
        "no_daemon",
        `No daemon has run on ${dataDir} yet: its token file is not there`,
        "Start it with `dropless serve` (or its systemd unit).",
      );
    throw new Fault(
      "config_unreadable",
      `${file} cannot be read: it belongs to the user that runs the daemon`,
      `Run the command as that user (sudo -u USER dropless …), or set DROPLESS_URL and DROPLESS_TOKEN.`,
    );
  }
}

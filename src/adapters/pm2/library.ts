import { createRequire } from "node:module";
import type { RawProcess } from "./messages.js";

type Callback<T> = (error: unknown, result: T) => void;

/** The parts of PM2's library that the worker uses; its shipped types lack them. */
interface Client {
  launchRPC(callback: (error?: unknown) => void): void;
  launchDaemon(options: { interactor: boolean }, callback: (error: unknown) => void): void;
  launchBus(callback: (error: unknown, bus: Bus, socket: Socket) => void): void;
  client?: { call(method: string, ...args: unknown[]): void; sock: Socket };
  sub_sock?: Socket;
}
interface Socket {
  once(event: string, listener: () => void): void;
  close(): void;
}
interface Bus {
  on(event: string, listener: (topic: string, packet: Record<string, unknown>) => void): void;
}
interface Common {
  verifyConfs(definitions: unknown[]): Record<string, unknown>[] | Error;
  resolveAppAttributes(options: { cwd: string; pm2_home: string }, definition: unknown): Resolved;
}
export interface Resolved extends Record<string, unknown> {
  env: Record<string, unknown>;
}

export interface Library {
  home: string;
  /** A client that is not connected yet. */
  createClient(): Client;
  common: Common;
  dumpFile: string;
  dumpBackup: string;
}

/** Loads PM2's library for the PM2_HOME of this process. */
export function loadPm2(): Library {
  const require = createRequire(import.meta.url);
  process.env.PM2_PROGRAMMATIC = "true";
  const constants = require("pm2/constants.js") as Record<string, string>;
  const ClientOf = require("pm2/lib/Client.js") as new (options: {
    pm2_home: string;
    conf: object;
    daemon_mode: boolean;
  }) => Client;
  const home = constants.PM2_ROOT_PATH ?? "";
  return {
    home,
    createClient: () => new ClientOf({ pm2_home: home, conf: constants, daemon_mode: true }),
    common: require("pm2/lib/Common.js") as Common,
    dumpFile: constants.DUMP_FILE_PATH ?? "",
    dumpBackup: constants.DUMP_BACKUP_FILE_PATH ?? "",
  };
}

/** One call to God. It never answers when God dies: whoever waits keeps the time. */
export function remote<T = RawProcess>(client: Client, method: string, ...args: unknown[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const done: Callback<T> = (error, result) => {
      if (!error) return resolve(result);
      const text = (error as { message?: string; msg?: string }).message ?? (error as { msg?: string }).msg;
      reject(new Error(text ?? String(error)));
    };
    if (!client.client) return reject(new Error("not connected to PM2"));
    client.client.call(method, ...args, done);
  });
}

export type { Client };

import type { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import type { Server as NetServer, Socket } from "node:net";

export type Args = unknown[];
/** What Node's own shutdown uses of a server, besides what it documents. */
export type Server = NetServer & { _handle?: { close(): void } | null; keepAliveTimeout?: number };
export type Answer = ServerResponse & { _last?: boolean; _header?: string };
/** An HTTP/2 session. */
export type Session = EventEmitter & { close(): void };

export interface Connection {
  /** Requests that have come in and are not answered. */
  busy: number;
  /** Not HTTP/1, so that silence says nothing about it: ended at the limit only. */
  pinned: boolean;
  /** Read and written, when last looked at. */
  bytes: number;
  /** Of the last sign of life: milliseconds of the process's own clock, which nobody sets. */
  at: number;
  endedAt: number;
  /** To the request that came last. */
  latest?: ServerResponse;
}

export interface Instance {
  /** Its environment, which PM2 gives a cluster instance only after the preload has run. */
  env: Record<string, string | undefined>;
  /** The app's `port`, or 0. */
  appPort: number;
  /** Where `port` is moved to in preflight, or 0. */
  preflightPort: number;
  /** A child process the app has started with the same arguments: it neither reports nor drains. */
  isChild: boolean;
  /** The servers that listen on the app's port. */
  appServers: WeakSet<NetServer>;
  phase: "serving" | "draining" | "drained";
  /** Says it to the daemon; `pid` is added. */
  report(type: string, data: object): void;
  /** An app's faults are its own; those of the preload must not reach it. */
  quietly(work: () => void): void;
}

export interface Traffic {
  servers: Set<Server>;
  sessions: Set<Session>;
  connections: Map<Socket, Connection>;
}

/** Sees what a server emits before the app does; `true` keeps it from the app. */
export type Observer = (server: Server, type: unknown, args: Args) => boolean;

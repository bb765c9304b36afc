/** What the daemon and its PM2 worker say to each other, as JSON over the IPC channel. */
import type { Pm2Event, StartSpec } from "../../rollout/pm2.js";

/** A process as PM2's RPC gives it. */
export interface RawProcess {
  pid?: number;
  /** In the answer to `prepare`. */
  process?: { pid?: number };
  name?: string;
  pm_id: number;
  monit?: { memory?: number };
  pm2_env: Record<string, unknown>;
}

export interface Calls {
  list: { args: []; result: RawProcess[] };
  start: { args: [StartSpec]; result: RawProcess };
  restore: { args: [Record<string, unknown>]; result: RawProcess };
  remove: { args: [number]; result: null };
  stop: { args: [number]; result: null };
  resume: { args: [number]; result: null };
  save: { args: []; result: null };
  /** Starts a God and brings back what was saved; gives the number of processes brought back. */
  launch: { args: []; result: number };
  /** Events of these names from now on; replaces what was asked before. */
  listen: { args: [string[]]; result: null };
}
export type CallName = keyof Calls;

export interface Request {
  id: number;
  call: CallName;
  args: unknown[];
}
export type Reply =
  | { id: number; result: unknown }
  | { id: number; error: string }
  | { event: Pm2Event }
  /** The connection to God was lost. */
  | { gone: true };

/**
 * What the rollout needs of PM2. Every call has a deadline and throws a Fault: `pm2_unreachable` (no God, or
 * it ended meanwhile), `pm2_hung` (no answer in time), `pm2_foreign` (another user's), `pm2_refused` (PM2 said no).
 */
export interface Pm2 {
  /** Every process of this PM2, other people's included. Empty when no God runs. */
  list(): Promise<Pm2Process[]>;
  /** Starts one process, always a new one, also when others have its name. Resolves with PM2's first view of it. */
  start(spec: StartSpec): Promise<Pm2Process>;
  /** Stops it by its stop signal, waits up to its kill_timeout, removes it. Gone already: nothing happens. */
  remove(process: Pm2Process): Promise<void>;
  /** As `remove`, but PM2 keeps it as `stopped`, so that `resume` can bring it back as it was. */
  stop(process: Pm2Process): Promise<void>;
  /** Starts a stopped process again, as it was. */
  resume(process: Pm2Process): Promise<void>;
  /** Starts a process from what PM2 once said about it (`raw`), as `pm2 resurrect` does. */
  restore(raw: Record<string, unknown>): Promise<Pm2Process>;
  /** `pm2 save`. */
  save(): Promise<void>;
  /**
   * The only call that starts a God, and only when none runs. What the last one had saved is brought back
   * (`pm2 resurrect`).
   */
  ensure(): Promise<"running" | "started" | "resurrected">;
  /** Events of the processes with these names until the returned function is called. */
  listen(names: readonly string[], listener: (event: Pm2Event) => void): Promise<() => void>;
  close(): Promise<void>;
}

export type Mode = "cluster" | "fork";

export interface Pm2Process {
  pmId: number;
  name: string;
  /** 0 when it has none. */
  pid: number;
  /** PM2's word. */
  status: string;
  restarts: number;
  /** Milliseconds since 1970; when it was started last. */
  startedAt: number;
  memoryBytes: number;
  mode: Mode;
  cwd: string;
  script: string;
  /** Under `instance_var`; -1 when it has none. */
  number: number;
  /** Milliseconds that PM2 waits after the stop signal. */
  killTimeout: number;
  /** dropless's own marks; absent on what was started by hand. */
  marks: { app?: string; release?: string; deploy?: string };
  /** All that PM2 keeps about it. Holds the app's secrets: never log it. */
  raw: Record<string, unknown>;
}

export interface StartSpec {
  /** PM2's own fields, as in an ecosystem file; script and cwd absolute, `instances` left out. */
  definition: Record<string, unknown> & { name: string; script: string; cwd: string };
  /** The whole environment. */
  env: Record<string, string>;
  number: number;
  /** Name of the variable that carries the number. */
  instanceVar: string;
}

export type Pm2Event = { pmId: number; name: string } & (
  | { kind: "output"; stream: "stdout" | "stderr"; text: string }
  /** PM2's process events: `online`, `exit`, `restart`, `restart overlimit`, `start`, … */
  | { kind: "event"; event: string; restarts: number; exitCode?: number; manually: boolean }
  /** An error or rejection that nobody caught; of a rejection PM2 lets a cluster instance live on. */
  | { kind: "exception" }
  /** A message the process sent itself: `process.send({ type, data })`. */
  | { kind: "message"; type: string; data: unknown }
);

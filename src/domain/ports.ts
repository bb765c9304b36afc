/**
 * The seams between the parts: what the pipeline and the HTTP side need, and an adapter gives.
 * Nothing here knows SQLite, PM2, git or Fastify.
 */
import type { Commit, Deploy, DeployStatus, Outcome, Running } from "./deploy.js";
import type { Receipt } from "./receipt.js";
import type { AppState, Delivery, DeployRequest, LiveRelease } from "./request.js";
import type { StepName, StepStatus } from "./step.js";

export type Stream = "stdout" | "stderr" | "dropless";

/** One line of a deploy's log; `line` counts from 1. `text` keeps its ANSI colours and has no line end. */
export interface LogLine {
  line: number;
  text: string;
  stream: Stream;
  step: StepName | null;
  /** ISO 8601. */
  time: string;
}

/** Where a deploy's output goes. Secrets are redacted behind it; no call waits for a reader. */
export interface LogWriter {
  /** Text or raw bytes, with several lines or a part of one without its end: framing is the writer's. */
  write(stream: "stdout" | "stderr", text: string | Uint8Array): void;
  /**
   * Resolves when there is room for more, which is nearly always at once. Whoever reads a child's output
   * pauses it until then; what is written nevertheless is taken up to a limit and then left out, with a line
   * that says so. Never waits for a reader, nor for a disk that is full.
   */
  drained(): Promise<void>;
  /** A whole line by dropless itself. */
  say(text: string): void;
  /** The boundary of a step, also an event of its own. */
  step(name: StepName, status: StepStatus, durationMs?: number, ownMs?: number): void;
  /** A change of the deploy's status. */
  status(status: DeployStatus): void;
  /** Ends a partial line and waits until everything is in the file. */
  flush(): Promise<void>;
}

/** One event of a deploy's stream, numbered from 1 without a gap. */
export type LogEvent =
  | { id: number; event: "log"; data: LogLine }
  | {
      id: number;
      event: "step";
      data: { name: StepName; status: StepStatus; durationMs?: number; ownMs?: number; time: string };
    }
  | { id: number; event: "status"; data: { status: DeployStatus; time: string } };

/** Where a reader begins, and whether it stays: `after` an event's id, or `afterLine` a line's number. */
export interface LogPlace {
  after?: number;
  afterLine?: number;
  follow?: boolean;
  signal?: AbortSignal;
}

export interface DeployLogs {
  /**
   * Opens for writing; after a restart it goes on behind the last whole event. One writer per deploy: as long
   * as it is open, the same one is given again (the queue has opened it when a deploy is run).
   */
  open(deploy: string): LogWriter;
  /**
   * Events after `after` (an event's id; 0 for all), in order, each once. With `follow` it goes on until the
   * log is closed or `signal` aborts; a slow reader only delays itself.
   */
  read(deploy: string, options: LogPlace): AsyncIterable<LogEvent>;
  /**
   * As `read`, in chunks made by `encode` out of whole events. Readers at the same place that give the same
   * function share one chunk, so 500 followers cost one reading and one encoding.
   */
  encoded(deploy: string, options: LogPlace, encode: (events: LogEvent[]) => Buffer): AsyncIterable<Buffer>;
  /** The last `count` lines. */
  tail(deploy: string, count: number): Promise<string[]>;
  /** No more will come (the deploy ended): followers get the rest, then their end. */
  close(deploy: string): Promise<void>;
}

/**
 * What the pipeline writes down about its deploy. Each call is durable when it returns, then in the log (`step`
 * writes the log's step event, nobody else does), then published. `waitedMs`: of a step that ends, the time in which it
 * waited for what is not dropless's doing; `reason`: why one is skipped. Fault `store_unwritable`: nothing was changed.
 */
export interface Recorder {
  readonly deploy: Running;
  step(name: StepName, status: StepStatus, waitedMs?: number, reason?: string): void;
  commit(commit: Commit): void;
  release(name: string): void;
  previous(name: string | undefined): void;
  receipt(receipt: Receipt): void;
  decide(decision: "forward" | "back"): void;
  /**
   * This deploy's release is live now (`forward`), or an earlier one is again; undefined when a first deploy
   * was taken back. One transaction.
   */
  live(live: LiveRelease | undefined, left?: AppState["left"]): void;
  app(): AppState;
}

/**
 * Runs one claimed deploy to its outcome; never throws. Aborting `signal` means cancel, unless its reason is
 * `handover`: this process is to end, so leave everything resumable and return soon; the outcome is then
 * ignored (but for `succeeded`) and the deploy stays `running` for the next start. A recorder whose deploy shows
 * steps that succeeded (or a decision) is that of a deploy to resume; with `cancelRequested` the signal is
 * aborted from the start. `ending` aborts when this process is to end, also after a cancel: a signal aborts only once.
 * With the code `handed_over` the outcome is ignored for certain.
 */
export type RunDeploy = (recorder: Recorder, signal: AbortSignal, ending: AbortSignal) => Promise<Outcome>;

export type Submission =
  | { kind: "queued"; deploy: Deploy; position: number; token: string }
  | { kind: "duplicate"; deploy: Deploy }
  | { kind: "held"; app: string; reason: string };

export interface DeployFilter {
  app?: string;
  status?: DeployStatus;
  /** 1 to 100. */
  limit: number;
  /** Only deploys older than this id. */
  before?: string;
}

/**
 * Everything the outside can ask of the queue. Synchronous calls are durable when they return, and change
 * nothing when they throw: Fault `store_unwritable` (disk full, read-only), `app_unknown`.
 */
export interface Queue {
  /** All requests of one delivery in one transaction. Held apps are not remembered. */
  deliver(delivery: Delivery, requests: DeployRequest[]): Submission[];
  /** The same for what comes in bursts: deliveries of the same moment share one sync to the disk. */
  deliverSoon(delivery: Delivery, requests: DeployRequest[]): Promise<Submission[]>;
  /** A person's deploy, or rollback to the release named in `ref`. */
  ask(request: DeployRequest): Submission;
  /** Fault `not_found` | `not_cancelable` (it has ended). */
  cancel(id: string): Deploy;
  hold(app: string, reason: string, by: string): AppState;
  resume(app: string): AppState;
  app(app: string): AppState;
  get(id: string): Deploy | undefined;
  list(filter: DeployFilter): { deploys: Deploy[]; next?: string };
  /** Succeeded deploys of an app whose release might still be there, or is one of `of`; newest first. */
  succeeded(app: string, of?: readonly string[]): Deploy[];
  position(id: string): number | undefined;
  /** May the bearer of this deploy token read this deploy? */
  tokenReads(token: string, id: string): boolean;
  /** Called after each durable change of a deploy. */
  subscribe(listener: (deploy: Deploy) => void): () => void;
  /** Resumes what was running when the process died, then works through the queue. */
  start(): void;
  /** No new deploy starts; resolves when the running one has ended or was handed over to the next start. */
  stop(options: { graceMs: number }): Promise<void>;
}

export interface Instance {
  pmId: number;
  /** PM2's name. */
  name: string;
  pid: number;
  /** `online`, `launching`, `stopped`, `errored`, …: PM2's word. */
  status: string;
  /** The number the app knows itself by (NODE_APP_INSTANCE). */
  number: number;
  /** Name of the release it runs; absent for one started by hand. */
  release?: string;
  deploy?: string;
  restarts: number;
  /** Milliseconds. */
  uptimeMs: number;
  memoryBytes: number;
  cwd: string;
  script: string;
}

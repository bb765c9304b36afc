export interface LoadFailure {
  kind: string;
  method: string;
  message: string;
  /** Milliseconds since the load began. */
  atMs: number;
}

export interface LoadResult {
  total: number;
  failed: number;
  /** Answers that are one of `badAnswers`, with 500; in neither of the others. */
  bad: number;
  /** The first 200. */
  failures: LoadFailure[];
  /** Answers by the release that gave them. */
  releases: Record<string, number>;
  byKind: Record<string, number>;
  /** Longest time between two good answers over all clients. */
  maxGapMs: number;
  seconds: number;
}

export interface LoadOptions {
  /** Whole bodies by which a release says that it is itself bad. Default none. */
  badAnswers?: string[];
  /** One of the two; 127.0.0.1 only. */
  port?: number;
  url?: string;
  /** Default 16. */
  clients?: number;
  /** One per client in turn: `keep-alive`, `fresh`, `slow` (keep-alive with pauses up to 2.7 s). */
  kinds?: Array<"keep-alive" | "fresh" | "slow">;
  /** What the handlers take, milliseconds; 0 asks `path`, others `slowPath`?ms=. */
  handlers?: number[];
  path?: string;
  slowPath?: string;
  /** Between two requests of a client, milliseconds. Default 10. */
  pauseMs?: number;
  /** Default 30 s: what has no answer by then has failed. */
  timeoutMs?: number;
  /** Default 240. */
  maxSeconds?: number;
  maxRequests?: number;
  headers?: Record<string, string>;
  /** `false`: any 200 is good, whatever its body. */
  check?: boolean;
}

export interface Load {
  pid: number;
  snapshot(): Promise<LoadResult>;
  /** Waits for the requests in flight. Rejects when the load died or was over before. */
  stop(): Promise<LoadResult>;
  abort(): Promise<void>;
}

export function startLoad(options: LoadOptions): Promise<Load>;

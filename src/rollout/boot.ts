/** A process booted aside, outside of PM2, for preflight. */
interface BootSpec {
  command: readonly [string, ...string[]];
  cwd: string;
  /** By name or number; only where dropless runs as root. */
  user?: string;
  group?: string;
  /** The app's whole environment. */
  env: Record<string, string>;
  /** The same for all processes of a deploy: by it what is left over is found again, also after a crash. */
  marker: string;
  onOutput(stream: "stdout" | "stderr", text: string): void;
  /** What it sends over IPC. */
  onMessage(message: { type?: unknown; data?: unknown }): void;
  onExit(code: number | null, signal: string | null): void;
}

export interface Booter {
  /** Gives the function that ends the process and all it has started. */
  boot(spec: BootSpec): () => Promise<void>;
  /** Ends what an earlier run, which was killed, has left over. */
  sweep(marker: string): Promise<void>;
  /** A port nobody listens on. */
  freePort(): Promise<number>;
}

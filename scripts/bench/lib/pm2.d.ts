export interface Pm2Process {
  pid: number;
  name: string;
  pm_id: number;
  monit?: { memory: number; cpu: number };
  pm2_env: {
    status: string;
    restart_time: number;
    unstable_restarts: number;
    pm_exec_path: string;
    pm_cwd: string;
    exec_mode: string;
    pm_uptime: number;
    exit_code?: number;
    env: Record<string, string>;
    [key: string]: unknown;
  };
}

export interface Pm2Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface PrivatePm2 {
  /** Holds PM2_HOME (`home`) and HOME. */
  dir: string;
  /** PM2_HOME. */
  home: string;
  /** A small, clean environment with both set. */
  env: Record<string, string>;
  /** `pm2 …`; rejects when the exit code is not 0 or after 120 s. */
  cli(...args: string[]): Promise<Pm2Run>;
  /** The same from `cwd`, and without a judgement on the exit code. */
  run(args: string[], options?: { cwd?: string; env?: Record<string, string> }): Promise<Pm2Run>;
  list(): Promise<Pm2Process[]>;
  /** Pid of the God daemon, when it runs. */
  godPid(): number | undefined;
  /** Pids of everything that was started below this PM2, the God daemon included. */
  pids(): number[];
  /** Kills this God daemon and all below it, waits until they are gone, removes the folder. Safe to repeat. */
  end(): Promise<void>;
}

export interface PrivatePm2Options {
  /** Another pm2 package's folder, e.g. an older version's. */
  pm2?: string;
  /** Another node binary. */
  node?: string;
  env?: Record<string, string>;
}

export function createPrivatePm2(options?: PrivatePm2Options): PrivatePm2;

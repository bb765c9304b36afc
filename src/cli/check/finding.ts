import type { AppConfig, Config } from "../../config/schema.js";
import type { Pm2Process } from "../../rollout/pm2.js";

/** `fault`: a deploy will fail or hurt; `warning`: it will one day; `note`: good to know; `ok`: seen and well. */
export type Level = "ok" | "note" | "warning" | "fault";

export interface Finding {
  level: Level;
  /** What it is about: `git`, `PM2`, an app's name. */
  subject: string;
  message: string;
  /** What to do about it; for everything but `ok`. */
  hint?: string;
}

export interface CheckContext {
  config: Config;
  env: NodeJS.ProcessEnv;
  /** Of the user that checks, who should be the one that runs dropless. */
  uid: number;
  /** Every process of the configured PM2; empty when it does not run. Rejects with PM2's Fault. */
  processes(): Promise<Pm2Process[]>;
}

/** Looks at one thing. What it throws is reported as its finding. */
export type Check = (context: CheckContext) => Promise<Finding[]> | Finding[];

/** A maker of findings about one subject. */
export const about = (subject: string) => ({
  ok: (message: string): Finding => ({ level: "ok", subject, message }),
  note: (message: string, hint: string): Finding => ({ level: "note", subject, message, hint }),
  warning: (message: string, hint: string): Finding => ({ level: "warning", subject, message, hint }),
  fault: (message: string, hint: string): Finding => ({ level: "fault", subject, message, hint }),
});

/** Names by which PM2 may know an app before its ecosystem file has been read. */
const likelyNames = (app: AppConfig): string[] =>
  "config" in app.pm2 ? ((app.pm2.only as string[] | undefined) ?? [app.name]) : [app.pm2.name ?? app.name];

/** Processes that are this app's: by dropless's own mark, else by name. */
export const processesOf = (app: AppConfig, all: Pm2Process[]): Pm2Process[] =>
  all.filter(({ marks, name }) =>
    marks.app === undefined ? likelyNames(app).includes(name) : marks.app === app.name,
  );

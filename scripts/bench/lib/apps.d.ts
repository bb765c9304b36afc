export type GoodKind = "http" | "http-close" | "express" | "fastify" | "hono";
export type BadKind =
  | "crash-at-boot"
  | "never-listens"
  | "listens-elsewhere"
  | "answers-500"
  | "dies-after-3s"
  | "script-missing"
  | "syntax-error"
  | "broken-beside-old";

export interface AppOptions {
  kind: GoodKind | BadKind | "bad-when-live";
  /** Part of every answer; no blanks. */
  release: string;
  /** Hard-coded in the app; PORT in its environment wins. */
  port: number;
  /** Where `listens-elsewhere` listens; default `port` + 1. */
  elsewhere?: number;
}

export const goodKinds: GoodKind[];
/** Without `bad-when-live`, which users see. */
export const badKinds: BadKind[];
/** What a release answers that is bad only beside the old one, or when it is live. */
export const badAnswers: string[];
/** The app's files by name: `server.js` (ESM), `package.json` without dependencies, `release.txt`. */
export function appFiles(options: AppOptions): Record<string, string>;
/** Writes them into `dir`; the path of server.js (which `script-missing` does not have). */
export function writeApp(dir: string, options: AppOptions): string;
/**
 * Links this project's node_modules into `dir`, where everything below finds Express, Fastify and Hono
 * (an app's `root`, so that its releases need no install).
 */
export function linkModules(dir: string): void;

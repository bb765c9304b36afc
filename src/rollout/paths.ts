import { existsSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { scriptMissing } from "./faults.js";
import type { Target } from "./types.js";

/** The fields of a definition that name a file to be written. */
export const files = [
  ..."out_file out output out_log error_file error err err_file err_log log_file log pid_file pid".split(" "),
];
const isInside = (path: string, folder: string): boolean => {
  const way = relative(folder, path);
  return way === "" || (!way.startsWith("..") && !isAbsolute(way));
};

/** A path of the definition as it is in the release, whatever place the file was written for. */
export function place(path: string, base: string, release: string): string {
  if (!isAbsolute(path)) return resolve(base, path);
  if (isInside(path, release)) return path;
  // `cwd: /srv/api/current` or a checkout elsewhere: the release takes its place.
  return base;
}

/**
 * Relative log files would be pruned with their release; they go where shared files are. A folder that is
 * itself linked out of the release stays as it is.
 */
export function stableFile(value: string, cwd: string, target: Target): string {
  if (isAbsolute(value) || value.startsWith("~") || value === "NULL") return value;
  const file = resolve(cwd, value);
  if (!isInside(file, target.release.path)) return file;
  const folder = dirname(file);
  if (existsSync(folder) && !isInside(realpathSync(folder), realpathSync(target.release.path))) return file;
  return join(target.app.root, "shared", relative(target.release.path, file));
}

export function scriptOf(script: unknown, cwd: string, base: string): { script: string; file: boolean } {
  const text = String(script ?? "");
  if (text === "") throw scriptMissing("(no `script` is named)");
  // A whole command line: PM2 gives it to a shell.
  if (text.includes(" ") && !existsSync(resolve(cwd, text))) return { script: text, file: false };
  for (const folder of [cwd, base]) {
    if (existsSync(resolve(folder, text))) return { script: resolve(folder, text), file: true };
  }
  if (!text.includes("/") && !/\.[cm]?[jt]sx?$/.test(text)) return { script: text, file: false };
  throw scriptMissing(text);
}

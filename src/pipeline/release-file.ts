import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { Fault } from "../domain/fault.js";

/** More than any manifest or lockfile. */
const most = 64 << 20;

/** The text of a file of a release, as `readReleaseBytes`. */
export const readReleaseFile = (path: string): string => readReleaseBytes(path).toString();

/**
 * A file that a commit or a build brought along: it may be a link to a device or a pipe, which would
 * never end. Fault `release_file_unreadable`.
 */
export function readReleaseBytes(path: string): Buffer {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(file);
    if (stat.isFile() && stat.size <= most) return readFileSync(file);
    throw new Fault(
      "release_file_unreadable",
      `${basename(path)} is no ordinary file of at most 64 MB`,
      "Put an ordinary file in its place and push again.",
    );
  } finally {
    closeSync(file);
  }
}

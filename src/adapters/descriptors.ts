import { closeSync, openSync } from "node:fs";
import { toFault } from "../domain/fault.js";

/** What starting a process takes at once: both ends of each of its streams, and some for whatever goes on beside. */
const needed = 16;

/**
 * Before a process is started: Fault `too_many_open_files` when there are not enough file descriptors for it. Node tells
 * of that only by an event, which nobody has had the time to listen to where a library starts the process.
 */
export function demandDescriptors(): void {
  const files: number[] = [];
  try {
    while (files.length < needed) files.push(openSync("/dev/null", "r"));
  } catch (error) {
    throw toFault(error);
  } finally {
    for (const file of files) closeSync(file);
  }
}

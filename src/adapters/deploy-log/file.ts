import { type FileHandle, open, statfs, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { type Place, placeOf } from "./record.js";

/** More than the longest record: 16,384 characters of up to six bytes each, and what stands around them. */
const block = 131_072;
const newline = 0x0a;

/**
 * Where a log goes on that an earlier process has written: behind its last whole record. What is torn behind
 * that, by a process that was killed or a machine that lost its power, is cut off. A log that is not there yet
 * begins at 0.
 */
export async function resume(path: string): Promise<Place & { size: number }> {
  const file = await openIfThere(path);
  if (!file) return { id: 0, line: 0, size: 0 };
  try {
    const { size } = await file.stat();
    const last = await lastRecord(file, size);
    if (last.size < size) await truncate(path, last.size);
    return last;
  } finally {
    await file.close();
  }
}

async function lastRecord(file: FileHandle, size: number): Promise<Place & { size: number }> {
  for (let to = size; to > 0; to -= block) {
    const from = Math.max(0, to - 2 * block);
    const window = await readRange(file, from, to);
    let end = window.lastIndexOf(newline);
    while (end >= 0) {
      const before = end === 0 ? -1 : window.lastIndexOf(newline, end - 1);
      const place = placeOf(window.toString("utf8", before + 1, Math.min(end, before + 65)));
      if (place) return { ...place, size: from + end + 1 };
      end = before;
    }
  }
  return { id: 0, line: 0, size: 0 };
}

export async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * What logs leave free on their disk for the store beside them, bytes: a decision must be written down, output need
 * not.
 */
const reserve = 4 << 20;

async function demandRoom(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path));
  if (bavail * bsize >= reserve + bytes) return;
  const error = new Error(`ENOSPC: the last ${reserve >> 20} MB of the disk are left to the store, ${path}`);
  throw Object.assign(error, { code: "ENOSPC" });
}

/** Appends all of `data` behind `size`, or nothing of it. */
export async function append(path: string, size: number, data: Buffer): Promise<void> {
  await demandRoom(path, data.length);
  const file = await open(path, "a", 0o600);
  try {
    await file.appendFile(data);
  } catch (error) {
    // Shortening works on a full disk too; half a record must not stay in the middle.
    await truncate(path, size).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
}

/**
 * Whole records from `offset` on, as many as begin before the next multiple of `block`: readers that began at
 * different places soon ask for the same pieces. Empty when there is none.
 */
export async function readBlock(
  file: FileHandle,
  offset: number,
  size: number,
): Promise<{ text: string; next: number }> {
  const border = Math.min(size, (Math.floor(offset / block) + 1) * block);
  const near = await readRange(file, offset, border);
  const last = near.lastIndexOf(newline);
  if (last >= 0) return { text: near.toString("utf8", 0, last), next: offset + last + 1 };
  // One record that goes over the border.
  const far = await readRange(file, offset, Math.min(size, border + block));
  const first = far.indexOf(newline);
  if (first < 0) return { text: "", next: offset };
  return { text: far.toString("utf8", 0, first), next: offset + first + 1 };
}

async function readRange(file: FileHandle, from: number, to: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.max(0, to - from));
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, from + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** The first record for which `behind` holds, by halving: ids and lines only grow. */
export async function seek(
  file: FileHandle,
  size: number,
  behind: (place: Place) => boolean,
): Promise<number> {
  let low = 0;
  let high = size;
  // `low` is the beginning of a record, `high` that of one which is behind, or the end.
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    const probe = await recordFrom(file, middle === low ? low : middle, low, size);
    if (!probe || probe.start >= high) {
      // No record begins between the middle and `high`: look at those before it one after the other.
      return scan(file, low, high, size, behind);
    }
    if (behind(probe.place)) high = probe.start;
    else low = probe.end;
  }
  return high;
}

async function scan(
  file: FileHandle,
  from: number,
  to: number,
  size: number,
  behind: (place: Place) => boolean,
): Promise<number> {
  let at = from;
  while (at < to) {
    const record = await recordFrom(file, at, at, size);
    if (!record || behind(record.place)) return record?.start ?? to;
    at = record.end;
  }
  return to;
}

/** The first whole record that begins at or behind `at`; `known` is a place where one certainly begins. */
async function recordFrom(file: FileHandle, at: number, known: number, size: number) {
  const base = at === known ? at : at - 1;
  for (const length of [4096, 2 * block]) {
    const window = await readRange(file, base, Math.min(size, base + length));
    let start = at === known ? 0 : window.indexOf(newline) + 1;
    if (start === 0 && at !== known) continue;
    for (let end = window.indexOf(newline, start); end >= 0; end = window.indexOf(newline, start)) {
      const place = placeOf(window.toString("utf8", start, Math.min(end, start + 64)));
      if (place) return { place, start: base + start, end: base + end + 1 };
      start = end + 1;
    }
  }
  return undefined;
}

/** Texts of the last records, newest first, block by block from the end. */
export async function* backwards(file: FileHandle, size: number): AsyncGenerator<string> {
  let head = "";
  for (let to = size; to > 0; to -= block) {
    const from = Math.max(0, to - block);
    // Latin 1 keeps bytes apart, so that a character which lies across two blocks survives being joined.
    const text = (await readRange(file, from, to)).toString("latin1") + head;
    const lines = text.split("\n");
    head = from === 0 ? "" : (lines.shift() ?? "");
    for (const line of lines.reverse()) if (line !== "") yield Buffer.from(line, "latin1").toString("utf8");
  }
}

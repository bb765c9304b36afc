import { spawn } from "node:child_process";
import { readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { WorkIo } from "../../pipeline/ports.js";
import { builtFile } from "../built.js";
import { runCommand } from "../command.js";
import { cleanEnvironment } from "../environment.js";
import type { Look, Seen } from "./walk.js";

/** Folders that are never looked into for a node_modules. */
const passed = new Set([".git", ".dropless"]);

/** Every outermost `node_modules` of a folder, as relative paths; `linked` when one is (in) a link. */
export async function findModules(root: string): Promise<{ paths: string[]; linked: boolean }> {
  const paths: string[] = [];
  let linked = false;
  const visit = async (folder: string): Promise<void> => {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    await Promise.all(
      entries.map(async (entry) => {
        const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
        if (entry.name === "node_modules") {
          if (entry.isDirectory()) paths.push(path);
          else linked = true;
        } else if (entry.isDirectory() && !passed.has(entry.name)) await visit(path);
      }),
    );
  };
  await visit("");
  return { paths: paths.sort(), linked };
}

/** All names below some folders of a root, folders included, without following links. */
export async function namesBelow(root: string, folders: readonly string[]): Promise<Set<string>> {
  const names = new Set<string>();
  const visit = async (folder: string): Promise<void> => {
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []);
    await Promise.all(
      entries.map(async (entry) => {
        const path = `${folder}/${entry.name}`;
        names.add(path);
        if (entry.isDirectory()) await visit(path);
      }),
    );
  };
  for (const folder of folders) await visit(folder);
  return names;
}

/** Looks through folders in a process of its own, at low priority. */
export function lookThrough(look: Look): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const script = builtFile("./walk.js", import.meta.url);
    const child = spawn("nice", ["-n", "10", process.execPath, script], { env: cleanEnvironment() });
    // Not as an argument: the names of a large repository's files are longer than one may be.
    child.stdin.once("error", () => {}).end(JSON.stringify(look));
    let output = "";
    let words = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-2_000);
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(JSON.parse(output) as Seen);
      else reject(new Error(`looking through the packages ended with ${code}: ${words.trim()}`));
    });
  });
}

/**
 * Copies "$@" of one folder to another. Packages four pieces at a time: what was not read for long comes from the disk, one
 * small file after the other (13,700 of them in 2.0 s instead of 3.4). Only GNU's cp knows of references, and only with it
 * are there tools to give a folder the owner, the mode and the times of another.
 */
const copying = `
from=$1; to=$2; shift 2
how=; cp --help 2>&1 | grep -q reflink && how=--reflink=auto
count() { ls -A "$1" | wc -l; }
has() { command -v "$1" >/dev/null; }
many() { [ -n "$how" ] && has find && has xargs && [ -d "$1" ] && [ ! -L "$1" ] && [ "$(count "$1")" -gt 64 ]; }
pieces() {
  mkdir "$2" && cd "$1" && find . -mindepth 1 -maxdepth 1 -print0 | xargs -0 -n 32 -P 4 cp -a $how -t "$2" -- &&
    [ "$(count "$1")" = "$(count "$2")" ] || return 1
  chown --reference="$1" -- "$2" 2>/dev/null
  chmod --reference="$1" -- "$2" && touch -r "$1" -- "$2"
}
for p; do
  case $p in
    node_modules | */node_modules) if many "$from/$p"; then pieces "$from/$p" "$to/$p" || exit 1; continue; fi ;;
  esac
  cp -a $how -- "$from/$p" "$to/$p" || exit 1
done`;

/**
 * Copies whole folders with their times, modes and links: a copy of its own of every byte, by reference where the
 * file system can do that.
 */
export async function copyFolders(
  work: { from: string; to: string; paths: readonly string[]; timeoutMs: number },
  { log, signal, marker, stopwatch }: WorkIo,
): Promise<void> {
  if (work.paths.length === 0) return;
  await runCommand({
    command: ["/bin/sh", "-c", copying, "copy", work.from, work.to, ...work.paths],
    what: "install",
    cwd: work.from,
    env: cleanEnvironment(),
    log,
    timeoutMs: work.timeoutMs,
    signal,
    stopwatch,
    marker,
    nice: true,
  });
}

/** Puts another path in the place of one in a text file; its times stay, so that nobody takes it for changed. */
export function replacePlace(file: string, from: string, to: string): void {
  const { atime, mtime } = statSync(file);
  writeFileSync(file, readFileSync(file, "utf8").replaceAll(from, to));
  utimesSync(file, atime, mtime);
}

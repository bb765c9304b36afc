import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import type { AppConfig } from "../config/schema.js";
import { Fault } from "../domain/fault.js";
import { isReleaseName, type Release, releaseName } from "../domain/release.js";
import type { Releases } from "../pipeline/ports.js";
import { furnish } from "./furnish.js";
import { removeTree, removeTrees } from "./remove-tree.js";
import { trashIn, trashOf } from "./trash.js";

export interface ReleasesOptions {
  app: Pick<AppConfig, "root" | "shared">;
  now: () => Date;
  /** The folder of the built drain preload, copied into every release. */
  preload: string;
  /** Room that must be free in any case before something is built. Bytes. */
  reserveBytes?: number;
}

interface Marker {
  sha: string;
  /** What the building took from the disk: the next one is expected to need as much. */
  bytes: number;
  content?: string;
  /** The machine's start; what was on its way to the disk then may be torn in spite of its times. */
  boot?: string;
}

const mega = 1 << 20;

function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

function writeDurably(path: string, text: string): void {
  const file = openSync(path, "w");
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** The folders of one app below its `root`. See the port. */
export function createReleases({ app, now, preload, reserveBytes = 256 * mega }: ReleasesOptions): Releases {
  const { root } = app;
  const folder = join(root, "releases");
  const link = join(root, "current");
  const pathOf = (name: string) => join(folder, name);
  const markerOf = (name: string) => join(pathOf(name), ".dropless", "built");
  /** Free room when the release under way was begun. */
  let roomBefore: { name: string; bytes: number } | undefined;

  const prepare = (): void => {
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      throw new Fault(
        "root_not_writable",
        `The app's root ${root} cannot be written: ${(error as Error).message}`,
        "Create it and give it to the user that dropless runs as.",
      );
    }
  };
  const room = () => {
    const { bavail, bsize, ffree, files } = statfsSync(folder);
    return { bytes: bavail * bsize, inodes: files > 0 ? ffree : Number.POSITIVE_INFINITY };
  };
  const names = (): string[] => (existsSync(folder) ? readdirSync(folder).filter(isReleaseName).sort() : []);
  const marker = (name: string): Marker | undefined => {
    try {
      return JSON.parse(readFileSync(markerOf(name), "utf8")) as Marker;
    } catch {
      return undefined;
    }
  };
  const find = (name: string): Release | undefined =>
    isReleaseName(name) && lstatSync(pathOf(name), { throwIfNoEntry: false })?.isDirectory()
      ? { name, path: pathOf(name) }
      : undefined;
  const demand = (bytes: number, inodes: number): void => {
    const free = room();
    if (free.bytes >= bytes && free.inodes >= inodes) return;
    const figures =
      free.bytes < bytes
        ? `${Math.floor(free.bytes / mega)} MB are free, ${Math.ceil(bytes / mega)} MB are needed`
        : `${free.inodes} files can still be made, ${inodes} are needed`;
    throw new Fault(
      "disk_full",
      `There is not enough room on the disk of ${root}: ${figures}`,
      "Make room, or lower the app's `keep`, then deploy again.",
    );
  };
  /** Out of the way at once by its name, so that half of it is never taken for a release. */
  const discard = async (name: string): Promise<void> => {
    if (!find(name)) return;
    const trash = trashOf(folder, name);
    await removeTree(trash);
    renameSync(pathOf(name), trash);
    await removeTree(trash);
  };

  const whole = (): string[] => names().filter((name) => marker(name) !== undefined);

  return {
    find,
    whole,
    built(name) {
      const found = find(name) && marker(name);
      if (!found) return undefined;
      const { sha, content, boot } = found;
      return { sha, ...(content !== undefined && boot !== undefined && boot === bootId() && { content }) };
    },
    discard,
    demandRoom: () => demand(16 * mega, 100),
    create(sha, announce) {
      prepare();
      const last = names().reverse().map(marker).find(Boolean);
      demand(reserveBytes + Math.ceil((last?.bytes ?? 0) * 1.2), 20_000);
      const plain = releaseName(sha, now());
      for (let count = 1; ; count++) {
        const name = count === 1 ? plain : `${plain}-${count}`;
        if (existsSync(pathOf(name))) continue;
        announce?.(name);
        mkdirSync(pathOf(name));
        roomBefore = { name, bytes: room().bytes };
        return { name, path: pathOf(name) };
      }
    },
    markBuilt(release, sha, content) {
      const bytes = roomBefore?.name === release.name ? Math.max(0, roomBefore.bytes - room().bytes) : 0;
      mkdirSync(join(release.path, ".dropless"), { recursive: true });
      writeDurably(
        markerOf(release.name),
        `${JSON.stringify({ sha, bytes, content, boot: bootId() } satisfies Marker)}\n`,
      );
      for (const path of [join(release.path, ".dropless"), release.path, folder]) syncFolder(path);
    },
    furnish: (release, log) => furnish({ release, root, shared: app.shared, preload, log }),
    activate(release) {
      // Beside it and renamed over it: there is a `current` at every moment.
      const next = join(root, ".current.next");
      rmSync(next, { force: true });
      if (release) {
        symlinkSync(join("releases", release.name), next);
        renameSync(next, link);
      } else rmSync(link, { force: true });
      syncFolder(root);
    },
    current() {
      try {
        const name = basename(readlinkSync(link));
        return isReleaseName(name) ? name : undefined;
      } catch {
        return undefined;
      }
    },
    async prune(keep, spare) {
      const kept = new Set(whole().slice(-keep));
      const gone = names().filter((name) => !kept.has(name) && !spare.has(name));
      for (const name of gone) renameSync(pathOf(name), trashOf(folder, name));
      return gone;
    },
    sweep: () => removeTrees(trashIn(folder)),
  };
}

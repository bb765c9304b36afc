/**
 * A process of its own that looks through folders: tens of thousands of files would hold up the daemon, whose
 * requests go first. Reads a `Look`, prints a `Seen`, both as JSON.
 */
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { dirname, join, sep } from "node:path";

/** What to look for. */
export interface Look {
  /** Folders whose contents together are what is looked through; some may be missing. */
  roots: string[];
  /** Folders below them. */
  folders: string[];
  /** Paths whose content counts and not their times, with `place` in it left out; unknown: every file is read. */
  texts?: string[];
  /** The release's path at the time of the installation. */
  place: string;
  /** Paths that are left out. */
  skip?: string[];
  /** Name something that was written after this, milliseconds since 1970. */
  since?: number;
}

export interface Seen {
  /** Of every file's path, size, mode, inode, mtime and ctime: whoever changes a file changes its ctime. */
  digest: string;
  bytes: number;
  /** Text files that hold `place`. */
  texts: string[];
  /** Folders of packages with scripts that run when they are installed; only when every file is read. */
  scripted: string[];
  /** Was written after `since`. */
  changed?: string;
  /** What cannot be taken elsewhere: holds `place` and is no text, or is a link to an absolute path. */
  bound?: string;
}

const installs = ["preinstall", "install", "postinstall"];
const aPackage = /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/.@][^/]*\/package\.json$/;
const kinds = { mask: 0o170000, folder: 0o040000, file: 0o100000, link: 0o120000 };

function isScripted(text: string): boolean {
  try {
    const { scripts } = JSON.parse(text) as { scripts?: Record<string, unknown> };
    return installs.some((one) => typeof scripts?.[one] === "string");
  } catch {
    return false;
  }
}

function look({ roots, folders, texts, place, skip = [], since }: Look): Seen {
  const hash = createHash("sha256");
  const known = texts && new Set(texts);
  const seen: Seen = { digest: "", bytes: 0, texts: [], scripted: [] };

  /** Does its content count? Otherwise its times do. */
  const isText = (full: string, path: string, mode: number): boolean => {
    if (known) return known.has(path);
    if ((mode & kinds.mask) !== kinds.file) {
      seen.bound ??= path;
      return false;
    }
    const content = readFileSync(full);
    if (aPackage.test(path) && isScripted(content.toString())) seen.scripted.push(dirname(path));
    if (!content.includes(place)) return false;
    seen.texts.push(path);
    if (content.includes(0) || (mode & 0o200) === 0) seen.bound ??= path;
    return true;
  };
  const visit = (root: string, path: string): void => {
    const full = join(root, path);
    const stat = lstatSync(full, { throwIfNoEntry: false });
    if (!stat || skip.includes(path)) return;
    if (since !== undefined && stat.ctimeMs > since) seen.changed ??= path;
    const { mode, size, mtimeMs, ctimeMs, ino } = stat;
    if ((mode & kinds.mask) === kinds.folder) {
      // Without times: whatever is put into it or taken out shows by its name.
      hash.update(`${path} ${mode}\n`);
      for (const name of readdirSync(full).sort()) visit(root, `${path}/${name}`);
      return;
    }
    seen.bytes += stat.blocks * 512;
    if ((mode & kinds.mask) === kinds.link) {
      // Without times: moving a link counts as a change of it.
      const target = readlinkSync(full);
      hash.update(`${path} ${target}\n`);
      if (!known && target.startsWith(sep)) seen.bound ??= path;
      return;
    }
    hash.update(
      isText(full, path, mode)
        ? `${path} ${mode} ${readFileSync(full, "utf8").replaceAll(place, "")}\n`
        : `${path} ${mode} ${size} ${mtimeMs} ${ctimeMs} ${ino}\n`,
    );
  };
  for (const root of roots) for (const folder of folders) visit(root, folder);
  return { ...seen, digest: hash.digest("hex") };
}

process.stdout.write(JSON.stringify(look(JSON.parse(readFileSync(0, "utf8")) as Look)));

import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { Fault } from "../domain/fault.js";
import type { LogWriter } from "../domain/ports.js";
import type { Release } from "../domain/release.js";

interface Furnish {
  release: Release;
  root: string;
  /** Relative paths; a folder ends in a slash. */
  shared: string[];
  /** The folder of the built preload. */
  preload: string;
  log: LogWriter;
}

const isInside = (path: string, dir: string): boolean => path === dir || path.startsWith(dir + sep);

/** Makes the folder a link is put into, unless the repository's own links lead out of the release. */
function prepareParent(release: Release, path: string): void {
  const real = realpathSync(release.path);
  let existing = dirname(join(release.path, path));
  while (!lstatSync(existing, { throwIfNoEntry: false })) existing = dirname(existing);
  let resolved = "";
  try {
    resolved = realpathSync(existing);
  } catch {
    // A link to nowhere: what is written through it would land wherever it points.
  }
  if (!isInside(resolved, real)) {
    throw new Fault(
      "shared_outside",
      `The shared path ${path} leads out of the release: ${relative(release.path, existing)} is a link in the repository`,
      "Remove that link from the repository, or take the path out of `shared`.",
    );
  }
  mkdirSync(dirname(join(release.path, path)), { recursive: true });
}

function linkShared({ release, root, log }: Furnish, entry: string): void {
  const path = entry.replace(/\/+$/, "");
  const source = join(root, "shared", path);
  if (!existsSync(source)) {
    if (!entry.endsWith("/")) {
      log.say(`Warning: ${source} does not exist; the release goes without ${path}`);
      return;
    }
    mkdirSync(source, { recursive: true });
    log.say(`Made the shared folder ${source}`);
  }
  prepareParent(release, path);
  const link = join(release.path, path);
  // What the commit brings under that name (an example, a .gitkeep) gives way. A link is removed, not followed.
  rmSync(link, { recursive: true, force: true });
  symlinkSync(source, link);
}

/** See `Releases.furnish`. May be called again on a release that was furnished in part. */
export function furnish(work: Furnish): void {
  const own = join(work.release.path, ".dropless");
  // Ours alone: a link of that name in the repository would have us write wherever it points.
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own);
  for (const entry of work.shared) linkShared(work, entry);
  try {
    for (const name of readdirSync(work.preload))
      if (name.endsWith(".cjs")) copyFileSync(join(work.preload, name), join(own, name));
    if (!existsSync(join(own, "preload.cjs"))) throw new Error(`there is none in ${work.preload}`);
  } catch (error) {
    throw new Fault(
      "preload_missing",
      `dropless's own drain preload cannot be copied into the release: ${(error as Error).message}`,
      "Build dropless again with `npm run build`.",
      { cause: error },
    );
  }
}

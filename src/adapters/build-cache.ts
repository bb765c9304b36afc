import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AppConfig } from "../config/schema.js";
import type { BuildCache, WorkIo } from "../pipeline/ports.js";
import { copyFolders } from "./modules/files.js";
import { removeTree } from "./remove-tree.js";

/** The folder above, if every part of the way is a folder of its own; a link may lead anywhere. */
function isPlain(root: string, path: string): boolean {
  const parts = path.split("/");
  return parts.every((_, at) => {
    const found = lstatSync(join(root, ...parts.slice(0, at + 1)), { throwIfNoEntry: false });
    return !found || found.isDirectory();
  });
}

/** The folders of `cache`, below `<root>/cache/build`. See the port. */
export function createBuildCache({
  app,
}: {
  app: Pick<AppConfig, "root" | "cache" | "timeouts">;
}): BuildCache {
  const folder = join(app.root, "cache", "build");
  const current = join(folder, "current");
  const paths = [...new Set(app.cache.map((path) => path.replace(/^(?:\.\/)+|\/+$/g, "")))];
  const nextOf = (deploy: string) => join(folder, `.next-${deploy}`);

  async function copy(from: string, to: string, io: WorkIo): Promise<string[]> {
    const there = paths.filter((path) => isPlain(from, path) && existsSync(join(from, path)));
    for (const path of there) mkdirSync(dirname(join(to, path)), { recursive: true });
    await copyFolders({ from, to, paths: there, timeoutMs: app.timeouts.build }, io);
    return there;
  }
  /** A fault in here costs time, never a deploy. */
  const guarded = async (io: WorkIo, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      io.signal.throwIfAborted();
      io.log.say(`Note: the folders of \`cache\` are not carried on: ${(error as Error).message}`);
    }
  };
  const leftovers = async (): Promise<void> => {
    if (!existsSync(folder)) return;
    for (const name of readdirSync(folder)) if (name !== "current") await removeTree(join(folder, name));
  };

  return {
    bring: (release, io) =>
      guarded(io, async () => {
        await leftovers();
        if (paths.length === 0) return removeTree(folder);
        const aside = join(release.path, ".dropless", "cache");
        await removeTree(aside);
        for (const path of await copy(current, aside, io)) {
          const to = join(release.path, path);
          if (existsSync(to) || !isPlain(release.path, path)) continue;
          mkdirSync(dirname(to), { recursive: true });
          renameSync(join(aside, path), to);
        }
        await removeTree(aside);
      }),
    save: (release, deploy, io) =>
      guarded(io, async () => {
        await removeTree(nextOf(deploy));
        if (paths.length > 0) await copy(release.path, nextOf(deploy), io);
      }),
    async settle(deploy) {
      if (!existsSync(nextOf(deploy))) return;
      const old = join(folder, ".old");
      await removeTree(old);
      if (existsSync(current)) renameSync(current, old);
      renameSync(nextOf(deploy), current);
      await removeTree(old);
    },
  };
}

import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { AppConfig } from "../config/schema.js";
import type { Builds, Releases } from "../pipeline/ports.js";
import { copyFolders, lookThrough, replacePlace } from "./modules/files.js";
import { removeTree } from "./remove-tree.js";

const inModules = (path: string): boolean => /(?:^|\/)node_modules\//.test(path);

/** Releases of one app that were built of a certain content. See the port. */
export function createBuilds(deps: {
  app: Pick<AppConfig, "shared" | "timeouts">;
  releases: Pick<Releases, "find" | "built">;
}): Builds {
  const { app, releases } = deps;
  const linked = app.shared.map((path) => path.replace(/\/+$/, ""));

  return {
    async take(content, release, names, io) {
      const from = names
        .filter((name) => name !== release.name && releases.built(name)?.content === content)
        .map((name) => releases.find(name))
        .find((found) => found !== undefined);
      const aside = join(release.path, ".dropless", "copy");
      // Of an attempt that was killed: after the machine's restart nothing may be copied, and it would stay.
      await removeTree(aside);
      if (!from) return undefined;
      const unfit = new AbortController();
      try {
        const since = lstatSync(join(from.path, ".dropless", "built")).ctimeMs;
        const entries = readdirSync(from.path).filter((name) => name !== ".dropless");
        const look = async () => {
          const seen = await lookThrough({
            roots: [from.path],
            folders: entries,
            skip: linked,
            place: from.path,
            since,
          });
          const named = seen.texts.find((path) => !inModules(path));
          const why =
            (seen.changed && `${seen.changed} was written since it was built`) ??
            ((seen.bound ?? named) && `${seen.bound ?? named} fits that release only`);
          if (why) unfit.abort();
          return { why, texts: seen.texts };
        };
        // Aside, since nobody knows yet whether it may be used.
        const copy = async () => {
          mkdirSync(aside, { recursive: true });
          const signal = AbortSignal.any([io.signal, unfit.signal]);
          const work = { from: from.path, to: aside, paths: entries, timeoutMs: app.timeouts.install };
          await copyFolders(work, { ...io, signal }).catch((error: unknown) => {
            if (!unfit.signal.aborted) throw error;
          });
        };
        const [looked, copied] = await Promise.allSettled([look(), copy()]);
        if (looked.status === "rejected") throw looked.reason;
        if (copied.status === "rejected") throw copied.reason;
        const { why, texts } = looked.value;
        if (why) {
          io.log.say(`Release ${from.name} has the same content, but ${why}`);
          return undefined;
        }
        for (const name of entries) await removeTree(join(release.path, name));
        for (const name of entries) renameSync(join(aside, name), join(release.path, name));
        for (const text of texts)
          if (existsSync(join(release.path, text)))
            replacePlace(join(release.path, text), from.path, release.path);
        return from.name;
      } catch (error) {
        io.signal.throwIfAborted();
        io.log.say(`Note: the build of ${from.name} is not used again: ${(error as Error).message}`);
        return undefined;
      } finally {
        await removeTree(aside).catch(() => {});
      }
    },
  };
}

import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  statfsSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { AppConfig } from "../../config/schema.js";
import type { Release } from "../../domain/release.js";
import type { Fits, Modules, WorkIo } from "../../pipeline/ports.js";
import { removeTree } from "../remove-tree.js";
import { type Entry, type KeptEntry, openEntry } from "./entry.js";
import { copyFolders, findModules, lookThrough, replacePlace } from "./files.js";
import { learnPrune, slimDown, takeBack } from "./prune.js";
import { sweep, tidy } from "./tidy.js";

/** Less room than this, and nothing is kept. Bytes. */
const roomBytes = 1 << 30;

/** Says which of the kept installations a release has. */
const noteOf = (release: Release): string => join(release.path, ".dropless", "modules");

function noted(release: Release): string | undefined {
  try {
    return readFileSync(noteOf(release), "utf8");
  } catch {
    return undefined;
  }
}
function note(release: Release, key: string): void {
  mkdirSync(dirname(noteOf(release)), { recursive: true });
  writeFileSync(noteOf(release), key);
}

/** May a node_modules be put there? Not through a link, and not where there is no folder for it. */
function isOwn(release: Release, path: string): boolean {
  if (lstatSync(join(release.path, path), { throwIfNoEntry: false })?.isSymbolicLink()) return false;
  const parent = dirname(path);
  if (!existsSync(join(release.path, parent))) return false;
  return realpathSync(join(release.path, parent)) === join(realpathSync(release.path), parent);
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What is kept of one app, below `<root>/cache/modules`. See the port. */
export function createModules({ app }: { app: Pick<AppConfig, "root" | "timeouts"> }): Modules {
  const folder = join(app.root, "cache", "modules");
  const entryOf = (key: string): KeptEntry => openEntry(join(folder, key));
  /** What is kept is being looked through while the deploy goes on. */
  let settling: Promise<void> = Promise.resolve();

  const look = (kept: KeptEntry, { place, paths, texts }: Pick<Entry, "place" | "paths" | "texts">) =>
    lookThrough({ roots: [kept.stay, kept.go], folders: paths, texts, place });
  const copy = (from: string, to: string, paths: string[], io: WorkIo) =>
    copyFolders({ from, to, paths, timeoutMs: app.timeouts.install }, io);

  /** A cancelled deploy ends here; every other fault costs what is kept and nothing else. */
  const guarded = async <T>(io: WorkIo, key: string, work: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      io.signal.throwIfAborted();
      io.log.say(`Note: the packages that were kept are not used: ${words(error)}`);
      await removeTree(join(folder, key)).catch(() => {});
      return otherwise;
    }
  };

  async function settle(
    next: KeptEntry,
    key: string,
    { place, paths }: Pick<Entry, "place" | "paths">,
    fits: Fits,
    io: WorkIo,
  ) {
    const seen = await lookThrough({ roots: [next.stay], folders: paths, place });
    const { texts, scripted, bytes, digest } = seen;
    const entry: Entry = { format: 1, place, paths, texts, scripted, bytes, digest };
    if (seen.bound !== undefined || !fits(scripted)) {
      const why =
        seen.bound === undefined ? "dependencies have scripts" : `${seen.bound} fits this release only`;
      io.log.say(`Note: the packages are not kept, for ${why}`);
      await removeTree(next.stay);
      next.settle({ ...entry, bytes: 0, unfit: true });
    } else next.settle(entry);
    await removeTree(join(folder, key));
    renameSync(next.folder, join(folder, key));
  }

  return {
    async take(key, release, fits, io) {
      await settling;
      const kept = entryOf(key);
      if (!kept.exists()) return "none";
      const entry = kept.read();
      const paths = entry?.paths ?? kept.readLent()?.paths ?? [];
      const clear = () => Promise.all(paths.map((path) => removeTree(join(release.path, path))));
      if (entry?.unfit || (entry && !fits(entry.scripted))) return "unfit";
      if (paths.some((path) => !isOwn(release, path))) return "none";
      // Of an attempt that was killed.
      await clear();
      if (!entry) {
        await removeTree(kept.folder);
        return "none";
      }
      const put = async () => {
        const copied = entry.paths.filter((path) => existsSync(join(kept.stay, path)));
        const [{ digest }] = await Promise.all([
          look(kept, entry),
          copy(kept.stay, release.path, copied, io),
        ]);
        if (digest !== entry.digest) throw new Error("they were changed since");
        const lent = entry.prune?.lent ?? [];
        if (lent.length > 0) kept.lend();
        for (const path of lent) renameSync(join(kept.go, path), join(release.path, path));
        for (const text of entry.texts) replacePlace(join(release.path, text), entry.place, release.path);
        note(release, key);
        utimesSync(kept.folder, new Date(), new Date());
        return { scripted: entry.scripted };
      };
      const taken = await guarded<Awaited<ReturnType<typeof put>> | "none">(io, key, put, "none");
      if (taken === "none") await clear();
      return taken;
    },

    async keep(key, release, fits, io) {
      await settling;
      const { paths, linked } = await findModules(release.path);
      if (paths.length === 0 || linked) return;
      mkdirSync(folder, { recursive: true });
      const { bavail, bsize } = statfsSync(folder);
      if (bavail * bsize < roomBytes) return io.log.say("Note: there is no room to keep the packages");
      const next = openEntry(join(folder, `.new-${key}`));
      const put = async () => {
        await removeTree(next.folder);
        for (const path of paths) mkdirSync(join(next.stay, dirname(path)), { recursive: true });
        await copy(release.path, next.stay, paths, io);
        note(release, key);
        // The copy is ours: nothing that the build does can reach it.
        settling = guarded(
          io,
          `.new-${key}`,
          () => settle(next, key, { place: release.path, paths }, fits, io),
          undefined,
        ).catch(() => {});
      };
      await guarded(io, `.new-${key}`, put, undefined);
    },

    async slim(release, io) {
      await settling;
      const key = noted(release);
      const kept = key === undefined ? undefined : entryOf(key);
      const entry = kept?.readLent() ?? kept?.read();
      if (key === undefined || !kept || !entry?.prune) return false;
      const done = await guarded(io, key, () => slimDown(kept, entry, release), false);
      if (done) kept.settle(entry);
      else await removeTree(kept.folder);
      return done;
    },

    async learn(release, io, prune) {
      await settling;
      const key = noted(release);
      const kept = key === undefined ? undefined : entryOf(key);
      const entry = kept?.read();
      if (key === undefined || !kept || !entry) return prune();
      kept.lend();
      let pruned = false;
      const once = async () => {
        await prune();
        pruned = true;
      };
      const forget = async (error: unknown) => {
        io.log.say(`Note: the packages are not kept: ${words(error)}`);
        await removeTree(kept.folder);
      };
      try {
        const learned = { ...entry, prune: await learnPrune(kept, entry, release, once) };
        // Nobody else comes near what is kept until then.
        settling = look(kept, learned)
          .then(({ digest }) => kept.settle({ ...learned, digest }))
          .catch(forget)
          .catch(() => {});
      } catch (error) {
        if (!pruned) {
          await removeTree(kept.folder);
          throw error;
        }
        await forget(error);
      }
    },

    async giveBack(release) {
      await settling;
      const key = noted(release);
      const kept = key === undefined ? undefined : entryOf(key);
      const entry = kept?.readLent();
      // Without that it was not lent: whoever was learning it died, and what was moved meanwhile nobody knows.
      if (kept && entry?.prune && takeBack(kept, entry, release)) kept.settle(entry);
    },

    async tidy({ none }) {
      await settling;
      await tidy(folder, none);
    },

    sweep: () => sweep(folder),
  };
}

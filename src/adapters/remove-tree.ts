import { chmod, lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { Fault } from "../domain/fault.js";
import { mountsIn } from "./mounts.js";

const locked = new Set(["EACCES", "EPERM"]);
/** Of what may pass by itself: somebody who is just leaving, a moment without descriptors. */
const passing = new Set(["EBUSY", "ENOTEMPTY", "EMFILE", "ENFILE"]);
const tries = 4;

/** Makes every folder below one that its user can empty; links are not followed. */
async function openUp(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined);
  if (!stat?.isDirectory()) return;
  await chmod(path, stat.mode | 0o700);
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await openUp(join(path, entry.name));
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? "";

function inWords(path: string, error: unknown): unknown {
  const code = codeOf(error);
  if (!locked.has(code) && code !== "EBUSY" && code !== "ENOTEMPTY") return error;
  return new Fault(
    "not_removed",
    `${path} cannot be removed: ${(error as Error).message}`,
    locked.has(code)
      ? "Look whose it is and whether it is protected (`ls -la`, `lsattr`), and remove it as root."
      : "Look what uses it (`fuser -v`), and remove it; dropless tries again after the next deploy.",
    { cause: error },
  );
}

/**
 * Removes whatever is there, also folders that were made read-only, as some package managers leave them. Where something
 * is mounted nothing is touched: what is mounted is somebody's, and would be emptied first. Fault `not_removed`.
 */
export async function removeTree(path: string, mounts = mountsIn): Promise<void> {
  const stat = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw inWords(path, error);
  });
  if (!stat) return;
  const [mount] = stat.isDirectory() ? mounts(path) : [];
  if (mount !== undefined)
    throw new Fault(
      "not_removed",
      `${path} cannot be removed: ${mount} is a mount point`,
      `Nothing in it was touched. Unmount it (\`umount ${mount}\`); dropless removes the rest after the next deploy.`,
    );
  for (let count = 1, opened = false; ; count++)
    try {
      // Not with rm's own retries: it makes those anew in each folder on the way down.
      return await rm(path, { recursive: true, force: true });
    } catch (error) {
      if (locked.has(codeOf(error)) && !opened) {
        opened = true;
        await openUp(path).catch(() => {});
      } else if (passing.has(codeOf(error)) && count < tries) await wait(count * 100);
      else throw inWords(path, error);
    }
}

/** Removes what it can of these; throws when the others are gone, and names all that are not. */
export async function removeTrees(paths: readonly string[], remove = removeTree): Promise<void> {
  const failed: unknown[] = [];
  for (const path of paths) await remove(path).catch((error: unknown) => failed.push(error));
  const [first, ...others] = failed;
  if (first instanceof Fault && others.length > 0) {
    const messages = failed.map((error) => (error as Error).message);
    throw new Fault(first.code, messages.join("; "), first.hint, { cause: first });
  }
  if (first !== undefined) throw first;
}

import { chmod, lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** Makes every folder below one that its user can empty; links are not followed. */
async function openUp(path: string): Promise<void> {
  const stat = await lstat(path).catch(() => undefined);
  if (!stat?.isDirectory()) return;
  await chmod(path, stat.mode | 0o700);
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await openUp(join(path, entry.name));
}

/** Removes whatever is there, also folders that were made read-only, as some package managers leave them. */
export async function removeTree(path: string): Promise<void> {
  const remove = () => rm(path, { recursive: true, force: true, maxRetries: 3 });
  try {
    await remove();
  } catch (error) {
    if (!["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await openUp(path);
    await remove();
  }
}

/** Removes what it can of these; throws the first that could not be, when the others are gone. */
export async function removeTrees(paths: readonly string[], remove = removeTree): Promise<void> {
  const failed: unknown[] = [];
  for (const path of paths) await remove(path).catch((error: unknown) => failed.push(error));
  if (failed.length > 0) throw failed[0];
}

import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** What a killed git leaves behind: locks that refuse every later call, and packs that only take room. */
export function removeLeftovers(gitDir: string): void {
  const remove = (dir: string, leftover: RegExp, options: { recursive?: boolean } = {}) => {
    if (!existsSync(dir)) return;
    for (const name of readdirSync(dir, { encoding: "utf8", ...options }))
      if (leftover.test(name)) rmSync(join(dir, name), { force: true });
  };
  remove(gitDir, /\.lock$/);
  remove(join(gitDir, "refs"), /\.lock$/, { recursive: true });
  remove(join(gitDir, "objects", "info"), /\.lock$/);
  remove(join(gitDir, "objects", "pack"), /^tmp_|\.lock$/);
}

import { mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Release } from "../domain/release.js";
import type { Packages } from "./packages.js";

const folderOf = (release: Release): string => join(release.path, ".dropless", "bin");

/**
 * Puts a package manager that the server lacks where the app's own commands find it (`migrate: pnpm run …`):
 * a script that calls the version the repository asks for.
 */
export function provideTool(release: Release, { fetched }: Packages): void {
  if (!fetched) return;
  const quoted = fetched.argv.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  mkdirSync(folderOf(release), { recursive: true });
  writeFileSync(join(folderOf(release), fetched.name), `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o755 });
}

/** Before what the server has itself, which may be a yarn of the wrong kind. */
export const withTools = (env: Record<string, string>, release: Release): Record<string, string> => ({
  ...env,
  PATH: [folderOf(release), env.PATH].filter(Boolean).join(delimiter),
});

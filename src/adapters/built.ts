import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * The path of a file that another process is to run: beside the caller when built. Tests run the sources as
 * they are, which a plain Node process cannot; there it is the same file below `dist/`.
 */
export function builtFile(relative: string, caller: string): string {
  const file = fileURLToPath(new URL(relative, caller));
  return existsSync(file) ? file : file.replace("/src/", "/dist/");
}

import { execFile } from "node:child_process";
import { closeSync, openSync, readFileSync, readSync, realpathSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";

const onPath = (program: string, path: string): string | undefined => {
  if (program.includes("/")) return program;
  for (const dir of path.split(delimiter).filter(Boolean)) {
    try {
      if (statSync(join(dir, program)).isFile()) return join(dir, program);
    } catch {
      // Not there.
    }
  }
  return undefined;
};

function isBinary(file: string): boolean {
  const bytes = Buffer.alloc(4);
  const open = openSync(file, "r");
  try {
    readSync(open, bytes, 0, 4, 0);
  } finally {
    closeSync(open);
  }
  return bytes.toString("latin1") === "\x7fELF";
}

/** `npm 11.1.0` when the file belongs to a package of that very name. */
function asPackage(file: string, program: string): string | undefined {
  for (let dir = dirname(file); dir !== dirname(dir); dir = dirname(dir)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
      return name === program && typeof version === "string" ? `${dir} ${name} ${version}` : undefined;
    } catch {
      // Further up.
    }
  }
  return undefined;
}

/**
 * Which program a name stands for, so that another one is known from it: the file of a binary, the version of a
 * package, and where a version manager's shim decides by the folder, what `--version` says there. Undefined
 * when it cannot be told.
 */
export async function identify(
  program: string,
  cwd: string,
  env: Record<string, string>,
): Promise<string | undefined> {
  const found = onPath(program, env.PATH ?? "");
  if (found === undefined) return undefined;
  try {
    const file = realpathSync(found);
    const { size, mtimeMs } = statSync(file);
    if (isBinary(file)) return `${file} ${size} ${mtimeMs}`;
    const known = asPackage(file, program);
    if (known !== undefined) return known;
    return await new Promise((resolve) => {
      execFile(found, ["--version"], { cwd, env, timeout: 20_000 }, (error, out) =>
        resolve(error ? undefined : `${file} ${out.trim()}`),
      );
    });
  } catch {
    return undefined;
  }
}

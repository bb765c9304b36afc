import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Fault } from "../domain/fault.js";

export interface Surroundings {
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** Where `~` points. */
  home: string;
}

export const surroundings = (): Surroundings => ({
  cwd: process.cwd(),
  env: process.env,
  home: process.env.HOME || homedir(),
});

/** A path as people write it (`~/x`, `./x`, `/x`), absolute; a relative one counts from `folder`. */
export const absolutePath = (path: string, folder: string, home: string): string =>
  path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : resolve(folder, path);

/** The configuration's file (docs/configuration.md): what was asked for is never replaced by another one. */
export function findConfig(asked: string | undefined, { cwd, env, home }: Surroundings): string {
  const named = asked || env.DROPLESS_CONFIG;
  if (named) {
    const file = absolutePath(named, cwd, home);
    if (existsSync(file)) return file;
    throw new Fault(
      "config_invalid",
      `There is no configuration at ${file}`,
      `It was named by ${asked ? "--config" : "DROPLESS_CONFIG"}; correct the path, or let \`dropless init\` write the file.`,
    );
  }
  const places = [join(cwd, "dropless.yaml"), "/etc/dropless/dropless.yaml"];
  const found = places.find((place) => existsSync(place));
  if (found) return found;
  throw new Fault(
    "config_invalid",
    `There is no configuration: neither ${places.join(" nor ")} exists`,
    "Write one with `dropless init`, or name it with --config or DROPLESS_CONFIG.",
  );
}

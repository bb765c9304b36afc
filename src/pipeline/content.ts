import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "../domain/release.js";
import { type Context, io, releaseOf } from "./context.js";

const noteOf = (release: Release, name: string): string => join(release.path, ".dropless", name);

/** What decides a build: the commit's files, the installation, the commands, and shared files. */
async function contentOf(context: Context, installation: string): Promise<string | undefined> {
  const { app, git, recorder } = context;
  const shared = app.shared.map((path) =>
    statSync(join(app.root, "shared", path), { throwIfNoEntry: false }),
  );
  // Nobody knows what a build takes from there.
  if (shared.some((found) => found?.isDirectory())) return undefined;
  const parts = [
    1,
    await git.tree(recorder.deploy.commit.sha),
    installation,
    app.install,
    app.build,
    app.directory,
    app.shared,
    shared.map((found) => found && [found.ino, found.size, found.mtimeMs, found.ctimeMs]),
  ];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}

/**
 * Makes a release of an earlier one with the very same content, and gives its name; undefined when there is none, and
 * it has to be built. Either way the release knows its content from now on.
 */
export async function takeBuilt(context: Context, installation: string): Promise<string | undefined> {
  const { builds, log, releases, succeeded } = context;
  const release = releaseOf(context);
  const content = await contentOf(context, installation);
  if (content === undefined) return undefined;
  const names = succeeded().flatMap((deploy) => ("release" in deploy && deploy.release) || []);
  const from = await builds.take(content, release, names, io(context));
  if (from !== undefined) releases.furnish(release, log);
  mkdirSync(join(release.path, ".dropless"), { recursive: true });
  writeFileSync(noteOf(release, "content"), content);
  if (from !== undefined) writeFileSync(noteOf(release, "copied"), from);
  return from;
}

/** Was this release made of an earlier one? Then it has been built and pruned already. */
export const isCopied = (release: Release): boolean => existsSync(noteOf(release, "copied"));

export function contentNote(release: Release): string | undefined {
  try {
    return readFileSync(noteOf(release, "content"), "utf8");
  } catch {
    return undefined;
  }
}

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { type Context, releaseOf } from "./context.js";
import type { Argv, Packages } from "./packages.js";
import { readReleaseBytes } from "./release-file.js";

/** Files that say what is installed, and how, wherever they lie in the repository. */
const inputs =
  /(?:^|\/)(?:package\.json|package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|\.npmrc|\.yarnrc(?:\.yml)?|pnpm-workspace\.yaml|\.?pnpmfile\.c?js|bunfig\.toml|\.nvmrc|\.node-version|\.tool-versions|\.mise\.toml|mise\.toml|binding\.gyp)$|(?:^|\/)patches\/|^\.yarn\/(?!cache\/|unplugged\/)/;
/** The same of the user that dropless runs as. */
const ofUser = [".npmrc", ".yarnrc", ".yarnrc.yml", ".bunfig.toml", ".config/pnpm/rc"];
/** Dependencies on folders of the repository, which some package managers copy. */
const locals = /^(?:file|link|portal):|^[./~]/;

/** What package managers run of a project itself when they install, in their order. */
export const lifecycle = [
  "preinstall",
  "install",
  "postinstall",
  "prepublish",
  "preprepare",
  "prepare",
  "postprepare",
];

interface Manifest {
  /** Its folder, relative to the release; `.` for the root. */
  folder: string;
  scripts: Record<string, unknown>;
  bin: string[];
}

/** What decides an installation, as far as the release's files say. */
interface Inputs {
  files: [path: string, text: Buffer][];
  manifests: Manifest[];
  /** What is installed is also made of other files of the repository. */
  local: boolean;
  /** Nobody's scripts run. */
  ignoresScripts: boolean;
}

const record = (value: unknown): Record<string, unknown> =>
  value !== null && typeof value === "object" ? (value as Record<string, unknown>) : {};

async function inputsOf(root: string): Promise<Inputs> {
  const files: Inputs["files"] = [];
  const visit = async (folder: string): Promise<void> => {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    await Promise.all(
      entries.map(async (entry) => {
        const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
        if (/^(?:node_modules|\.git|\.dropless)$/.test(entry.name)) return;
        if (entry.isDirectory()) return visit(path);
        // A shared file is a link.
        if (inputs.test(path)) files.push([path, readReleaseBytes(join(root, path))]);
      }),
    );
  };
  await visit("");
  files.sort(([a], [b]) => (a < b ? -1 : 1));
  const found: Inputs = { files, manifests: [], local: false, ignoresScripts: false };
  for (const [path, text] of files) {
    if (/(?:^|\/)\.npmrc$/.test(path) && /^\s*ignore-scripts\s*=\s*true/m.test(text.toString()))
      found.ignoresScripts = true;
    if (/inject|install-links/i.test(text.toString()) && /(?:\.npmrc|\.ya?ml|package\.json)$/.test(path))
      found.local ||= !/lock/.test(path);
    if (!/(?:^|\/)package\.json$/.test(path)) continue;
    const manifest = record(JSON.parse(text.toString()));
    for (const group of [
      "dependencies",
      "devDependencies",
      "optionalDependencies",
      "resolutions",
      "overrides",
    ])
      if (Object.values(record(manifest[group])).some((range) => locals.test(String(range))))
        found.local = true;
    const { bin } = manifest;
    found.manifests.push({
      folder: path === "package.json" ? "." : path.slice(0, -"/package.json".length),
      scripts: record(manifest.scripts),
      bin: (typeof bin === "string" ? [bin] : Object.values(record(bin))).map(String),
    });
  }
  return found;
}

/**
 * A file without what no package manager looks at: a release's own version, which many change with every commit,
 * and scripts that only people start.
 */
function decisive(path: string, text: Buffer): Buffer | string {
  const isLock = path === "package-lock.json" || path === "npm-shrinkwrap.json";
  if (!isLock && !/(?:^|\/)package\.json$/.test(path)) return text;
  const { version, ...rest } = record(JSON.parse(text.toString()));
  if (isLock) {
    const { "": own, ...others } = record(rest.packages);
    const { version: _, ...root } = record(own);
    return JSON.stringify({ ...rest, packages: { "": root, ...others } });
  }
  const scripts = record(rest.scripts);
  const { scripts: _, ...unscripted } = rest;
  return JSON.stringify({
    ...unscripted,
    // Others may depend on a workspace's.
    ...(path !== "package.json" && { version }),
    ...(lifecycle.some((name) => name in scripts) && { scripts }),
  });
}

export interface Installation {
  /** The same for installations that give the same. */
  key: string;
  manifests: Manifest[];
  ignoresScripts: boolean;
}

/**
 * What stands for an installation: lockfiles, every package.json, the package manager's settings, its program and
 * Node's, its arguments and `buildEnv`. Undefined where that does not tell what comes out: without a lockfile, or
 * when a program cannot be told from another.
 */
export async function installationOf(
  context: Context,
  packages: Packages,
  commands: readonly Argv[],
  env: Record<string, string>,
): Promise<Installation | undefined> {
  const { app, git, recorder } = context;
  // Yarn from 2 on keeps a state beside node_modules, without which it starts nothing.
  if (packages.unlocked || packages.manager === "berry") return undefined;
  // What is committed there belongs to the commit: it is neither kept nor replaced.
  if (await git.has(recorder.deploy.commit.sha, "node_modules")) return undefined;
  const root = releaseOf(context).path;
  const names = [...new Set(["node", ...commands.map(([name]) => name)])];
  const [found, programs, user] = await Promise.all([
    inputsOf(root).catch(() => undefined),
    Promise.all(names.map((name) => context.identify(name, packages.dir, env))),
    Promise.all(
      [...ofUser.map((name) => join(env.HOME ?? "/", name)), env.npm_config_userconfig ?? ""].map((file) =>
        file !== "" && existsSync(file) ? readFile(file).catch(() => Buffer.from("?")) : undefined,
      ),
    ),
  ]);
  if (!found || programs.includes(undefined)) return undefined;
  const hash = createHash("sha256");
  const settings = Object.entries(env).filter(([name]) => /^(?:npm|pnpm|yarn|bun)_/i.test(name));
  hash.update(
    JSON.stringify([
      1,
      process.platform,
      process.arch,
      programs,
      commands.map((argv) => argv.map((word) => word.replaceAll(root, ""))),
      relative(root, packages.dir),
      Object.entries({ ...Object.fromEntries(settings), ...app.buildEnv }).sort(([a], [b]) =>
        a < b ? -1 : 1,
      ),
      user.map((text) => text?.toString("base64")),
      found.local ? await git.tree(recorder.deploy.commit.sha) : "",
    ]),
  );
  for (const [path, text] of found.files) {
    const part = decisive(path, text);
    hash.update(`\n${path} ${part.length}\n`).update(part);
  }
  const ignored = /^npm_config_ignore_scripts$/i;
  return {
    key: hash.digest("hex").slice(0, 32),
    manifests: found.manifests,
    ignoresScripts:
      found.ignoresScripts ||
      /^\s*ignore-scripts\s*=\s*true/m.test(user.map(String).join("\n")) ||
      Object.entries(env).some(([name, value]) => ignored.test(name) && value === "true"),
  };
}

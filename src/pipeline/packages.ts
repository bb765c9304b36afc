import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Fault } from "../domain/fault.js";
import { readReleaseFile } from "./release-file.js";
import { notInYarnLock } from "./yarn-lock.js";

export type Argv = readonly [string, ...string[]];

/** How the packages of a folder are installed; see `readPackages`. */
export interface Packages {
  manager: Name;
  /** How the package manager is called. */
  run: Argv;
  /** Where: the repository's root, or the app's folder when only that one has a package.json. */
  dir: string;
  /** The same, relative to the release; `.` for its root. */
  folder: string;
  /** For the log: `pnpm 9.1.0 (pnpm-lock.yaml)`. */
  label: string;
  /** Has no lockfile: what is installed may differ from what was tested. */
  unlocked: boolean;
  hasBuild: boolean;
  /** A dependency that the lockfile does not know, where the package manager would not mind. */
  drifted?: string;
  /** Neither a lockfile nor a dependency. */
  nothingToInstall: boolean;
  /** With everything the build needs. */
  full: Argv[];
  /** Only what runs in production. */
  production: Argv[];
  /** From `full` to `production`, after the build. */
  prune: Argv[];
  build: Argv;
  /** The package manager, where the server has not the one that is asked for. */
  fetched?: { name: string; argv: Argv };
}

interface Manifest {
  packageManager?: unknown;
  workspaces?: unknown;
  scripts?: { build?: unknown };
  dependencies?: object;
  devDependencies?: object;
  optionalDependencies?: object;
  peerDependencies?: object;
}

export type Name = "npm" | "pnpm" | "yarn" | "berry" | "bun";

const lockfiles: readonly [file: string, name: Name][] = [
  ["pnpm-lock.yaml", "pnpm"],
  ["bun.lock", "bun"],
  ["bun.lockb", "bun"],
  ["yarn.lock", "yarn"],
  ["npm-shrinkwrap.json", "npm"],
  ["package-lock.json", "npm"],
];

const isBerry = (lock: string): boolean => /^__metadata:/m.test(lock);

/** The version for a lockfile whose project does not pin one. */
const usual = (name: Name, lock: string): string => {
  if (name !== "pnpm") return { npm: "10", yarn: "1", berry: "4", bun: "1" }[name];
  const format = Number.parseFloat(/^lockfileVersion:\s*'?([\d.]+)/m.exec(lock)?.[1] ?? "9");
  return format >= 9 ? "10" : format >= 6 ? "8" : "7";
};

const onPath = (program: string, path: string): boolean =>
  path.split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return dir !== "";
    } catch {
      return false;
    }
  });

/** Fetched by npm where it is missing: npm is there wherever Node is, and checks what it fetches. */
const byNpm = (spec: string, program: string): Argv => [
  "npm",
  "exec",
  "--yes",
  `--package=${spec}`,
  "--",
  program,
];

/** The program itself: the repository's own yarn, the one on PATH, or the version that is pinned. */
function program(name: Name, dir: string, pinned: string | undefined, lock: string, path: string): Argv {
  if (name === "npm") return ["npm"];
  const version = pinned ?? usual(name, lock);
  if (name === "yarn" || name === "berry") {
    const settings = join(dir, ".yarnrc.yml");
    const own = existsSync(settings)
      ? /^yarnPath:\s*["']?([^"'\n]+)/m.exec(readReleaseFile(settings))?.[1]?.trim()
      : undefined;
    if (own) return ["node", join(dir, own)];
    // A yarn of the other kind on PATH refuses, so only an unpinned yarn 1 is taken from there.
    if (name === "berry") return byNpm(`@yarnpkg/cli-dist@${version}`, "yarn");
    if (pinned === undefined && onPath("yarn", path)) return ["yarn"];
    return byNpm(`yarn@${version}`, "yarn");
  }
  return onPath(name, path) ? [name] : byNpm(`${name}@${version}`, name);
}

const recipes = (name: Name, run: Argv, locked: boolean): Pick<Packages, "full" | "production" | "prune"> => {
  const argv = (...args: string[]): Argv => [...run, ...args];
  switch (name) {
    case "npm": {
      const quiet = ["--no-audit", "--no-fund"];
      const verb = locked ? "ci" : "install";
      // A lockfile names every version: nothing is asked of the registry that is here already.
      if (locked) quiet.push("--prefer-offline");
      return {
        full: [argv(verb, "--include=dev", ...quiet)],
        production: [argv(verb, "--omit=dev", ...quiet)],
        prune: [argv("prune", "--omit=dev", ...quiet)],
      };
    }
    case "pnpm": {
      // Without a terminal it would refuse to replace a node_modules that was made otherwise.
      const frozen = [
        "install",
        ...(locked ? ["--frozen-lockfile", "--prefer-offline"] : ["--no-frozen-lockfile"]),
      ];
      const production = [...frozen, "--prod", "--config.confirmModulesPurge=false"];
      return {
        full: [argv(...frozen, "--prod=false")],
        production: [argv(...production)],
        // `pnpm prune` knows nothing of workspaces. Scripts have run already, and `prepare` needs what goes;
        // without the age it would keep that for a week.
        prune: [
          argv(
            ...production,
            "--config.modulesCacheMaxAge=0",
            "--ignore-scripts",
            ...(locked ? [] : ["--prefer-offline"]),
          ),
        ],
      };
    }
    case "yarn": {
      const frozen = ["install", "--non-interactive", ...(locked ? ["--frozen-lockfile"] : [])];
      return {
        full: [argv(...frozen, "--production=false")],
        production: [argv(...frozen, "--production=true")],
        prune: [argv(...frozen, "--production=true", "--prefer-offline")],
      };
    }
    case "berry": {
      const install = argv("install", locked ? "--immutable" : "--no-immutable");
      const focus = argv("workspaces", "focus", "--all", "--production");
      return {
        full: [install],
        // `focus` does not look whether the lockfile is up to date.
        production: [...(locked ? [[...install, "--mode=skip-build"] as const] : []), focus],
        prune: [focus],
      };
    }
    case "bun": {
      const frozen = ["install", ...(locked ? ["--frozen-lockfile"] : [])];
      const production = argv(...frozen, "--production");
      return {
        full: [argv(...frozen)],
        production: [production],
        // It leaves in place what is no longer wanted.
        prune: [
          ["find", ".", "-name", "node_modules", "-prune", "-exec", "rm", "-rf", "{}", "+"],
          production,
        ],
      };
    }
  }
};

function manifestOf(dir: string): Manifest | undefined {
  const file = join(dir, "package.json");
  if (!existsSync(file)) return undefined;
  const text = readReleaseFile(file);
  try {
    return JSON.parse(text) as Manifest;
  } catch (error) {
    throw new Fault(
      "package_json_unreadable",
      `package.json is not valid JSON: ${(error as Error).message}`,
      "Correct it and push again.",
    );
  }
}

/**
 * What a release's package.json and lockfile ask for. The `packageManager` field decides between several
 * lockfiles. Undefined when there is no package.json. Fault `package_json_unreadable`.
 */
export function readPackages(root: string, directory: string, path: string): Packages | undefined {
  const dir = existsSync(join(root, "package.json")) ? root : join(root, directory);
  const manifest = manifestOf(dir);
  if (!manifest) return undefined;
  const field = typeof manifest.packageManager === "string" ? manifest.packageManager : "";
  const [, wanted, pinned] = /^\^?(npm|pnpm|yarn|bun)@(\d[\w.-]*)/.exec(field) ?? [];
  const found = lockfiles.filter(([file]) => existsSync(join(dir, file)));
  const [file, byLock] = found.find(([, name]) => name === wanted) ?? found[0] ?? [];
  const lock = file && !file.endsWith("b") ? readReleaseFile(join(dir, file)) : "";
  let name = byLock ?? (wanted as Name | undefined) ?? "npm";
  const version = wanted === name ? pinned : undefined;
  if (name === "yarn" && (isBerry(lock) || (version && !version.startsWith("1.")))) name = "berry";
  const run = program(name, dir, version, lock, path);
  const { dependencies, devDependencies, optionalDependencies, peerDependencies } = manifest;
  const asked = [dependencies, devDependencies, optionalDependencies, peerDependencies];
  return {
    manager: name,
    run,
    dir,
    folder: dir === root ? "." : directory,
    label: `${name === "berry" ? "yarn" : name}${version ? ` ${version}` : ""}${file ? ` (${file})` : ""}`,
    unlocked: file === undefined,
    drifted: name === "yarn" && file !== undefined ? notInYarnLock(dir) : undefined,
    hasBuild: typeof manifest.scripts?.build === "string",
    nothingToInstall:
      file === undefined &&
      manifest.workspaces === undefined &&
      asked.every((group) => Object.keys(group ?? {}).length === 0),
    ...recipes(name, run, file !== undefined),
    build: [...run, "run", "build"],
    ...(run.length > 1 && { fetched: { name: name === "berry" ? "yarn" : name, argv: run } }),
  };
}

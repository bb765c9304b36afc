import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readPackages } from "../../src/pipeline/packages.js";
import { tempDir } from "../support/temp.js";

function packages(files: Record<string, string>, programs: string[] = [], directory = ".") {
  const dir = tempDir();
  const bin = join(dir, "bin");
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, "repo", path, ".."), { recursive: true });
    writeFileSync(join(dir, "repo", path), text);
  }
  mkdirSync(bin);
  for (const program of programs) {
    writeFileSync(join(bin, program), "");
    chmodSync(join(bin, program), 0o755);
  }
  return readPackages(join(dir, "repo"), directory, bin);
}
const line = (argv: readonly string[] | undefined) => argv?.join(" ");
const manifest = (more: object = {}) => JSON.stringify({ dependencies: { a: "1" }, ...more });

test.each([
  ["package-lock.json", "{}", "npm ci --include=dev --no-audit --no-fund --prefer-offline"],
  ["npm-shrinkwrap.json", "{}", "npm ci --include=dev --no-audit --no-fund --prefer-offline"],
  [
    "pnpm-lock.yaml",
    "lockfileVersion: '9.0'",
    "npm exec --yes --package=pnpm@10 -- pnpm install --frozen-lockfile --prefer-offline --prod=false",
  ],
  [
    "pnpm-lock.yaml",
    "lockfileVersion: '6.0'",
    "npm exec --yes --package=pnpm@8 -- pnpm install --frozen-lockfile --prefer-offline --prod=false",
  ],
  [
    "yarn.lock",
    "# yarn lockfile v1",
    "npm exec --yes --package=yarn@1 -- yarn install --non-interactive --frozen-lockfile --production=false",
  ],
  [
    "yarn.lock",
    "__metadata:\n  version: 8",
    "npm exec --yes --package=@yarnpkg/cli-dist@4 -- yarn install --immutable",
  ],
  ["bun.lock", "{}", "npm exec --yes --package=bun@1 -- bun install --frozen-lockfile"],
])("%s (%j) is installed frozen", (file, text, expected) => {
  expect(line(packages({ "package.json": manifest(), [file]: text })?.full[0])).toBe(expected);
});

test("the packageManager field pins the version, and decides between two lockfiles", () => {
  const both = { "pnpm-lock.yaml": "", "yarn.lock": "# v1" };
  const yarn = packages({ "package.json": manifest({ packageManager: "yarn@1.22.19+sha1.abc" }), ...both }, [
    "yarn",
  ]);
  expect(line(yarn?.build)).toBe("npm exec --yes --package=yarn@1.22.19 -- yarn run build");
  const pnpm = packages({ "package.json": manifest({ packageManager: "pnpm@9.1.0" }), ...both });
  expect(line(pnpm?.build)).toBe("npm exec --yes --package=pnpm@9.1.0 -- pnpm run build");
  expect(pnpm?.label).toBe("pnpm 9.1.0 (pnpm-lock.yaml)");
});

test("what is on PATH is used; a yarn in the repository before all", () => {
  expect(packages({ "package.json": manifest(), "pnpm-lock.yaml": "" }, ["pnpm"])?.build[0]).toBe("pnpm");
  const own = packages({
    "package.json": manifest({ packageManager: "yarn@4.1.0" }),
    "yarn.lock": "__metadata:\n",
    ".yarnrc.yml": "nodeLinker: node-modules\nyarnPath: .yarn/releases/yarn-4.1.0.cjs\n",
  });
  expect(own?.build[0]).toBe("node");
  expect(own?.build[1]).toMatch(/repo\/\.yarn\/releases\/yarn-4\.1\.0\.cjs$/);
});

test("a packageManager field cannot slip an option or another package in", () => {
  const bad = packages({
    "package.json": manifest({ packageManager: "pnpm@1 --registry=http://evil" }),
    "pnpm-lock.yaml": "",
  });
  expect(line(bad?.build)).toBe("npm exec --yes --package=pnpm@1 -- pnpm run build");
});

test("without a lockfile npm installs, and says so; without anything there is nothing to install", () => {
  const loose = packages({ "package.json": manifest() });
  expect(loose).toMatchObject({ unlocked: true, nothingToInstall: false });
  expect(line(loose?.production[0])).toBe("npm install --omit=dev --no-audit --no-fund");
  expect(packages({ "package.json": JSON.stringify({ scripts: { build: "x" } }) })).toMatchObject({
    nothingToInstall: true,
    hasBuild: true,
  });
  expect(packages({ "server.js": "" })).toBeUndefined();
});

test("the app's folder is where packages are when the root has none", () => {
  const inner = packages(
    { "apps/api/package.json": manifest(), "apps/api/package-lock.json": "{}" },
    [],
    "apps/api",
  );
  expect(inner?.dir.endsWith("repo/apps/api")).toBe(true);
});

test("a package.json that cannot be read is a fault of the commit", () => {
  expect(() => packages({ "package.json": "{" })).toThrowError(
    expect.objectContaining({ code: "package_json_unreadable" }),
  );
});

test("a file that would never end is refused, and a pattern that would is left to yarn", () => {
  for (const name of ["package.json", "pnpm-lock.yaml"]) {
    const dir = tempDir();
    if (name !== "package.json") writeFileSync(join(dir, "package.json"), manifest());
    symlinkSync("/dev/zero", join(dir, name));
    expect(() => readPackages(dir, ".", "")).toThrow(`${name} is no ordinary file`);
  }
  const hostile = { workspaces: ["*a*a*a*a*a*a*a*a*b", "+(a|aa)+(a|aa)b"] };
  const name = "a".repeat(60);
  const read = packages({
    "package.json": manifest(hostile),
    "yarn.lock": "# yarn lockfile v1",
    [`${name}/package.json`]: "{}",
  });
  expect(read?.drifted).toBeUndefined();
});

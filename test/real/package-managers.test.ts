import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deployer } from "../support/deployer.js";
import type { Files } from "../support/repo.js";
import { makeTempDir, removeTempDir } from "../support/temp.js";

/**
 * The package managers themselves, fetched from the registry as on a server that has none of them: a small
 * monorepo, built with development dependencies of the root and of a workspace, which must all be gone after.
 */
let home: string;
beforeAll(() => {
  home = makeTempDir("home");
});
afterAll(() => removeTempDir(home));

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;
const build = "node -e \"require('fs').writeFileSync('built', typeof require('picocolors').bold)\"";

const monorepo = (packageManager: string, inner: string, more: object = {}): Files => ({
  "package.json": json({
    name: "mono",
    version: "1.0.0",
    private: true,
    packageManager,
    workspaces: ["apps/*", "packages/*"],
    scripts: { build: inner },
    devDependencies: { isexe: "3.1.1" },
    ...more,
  }),
  "pnpm-workspace.yaml": "packages: ['apps/*', 'packages/*']\n",
  ".gitignore": "node_modules\n.yarn\n",
  "apps/api/package.json": json({
    name: "api",
    version: "1.0.0",
    scripts: { build },
    dependencies: {
      ms: "2.1.3",
      lib: packageManager.match(/^(?:pnpm|yarn@4|bun)/) ? "workspace:*" : "1.0.0",
    },
    devDependencies: { picocolors: "1.1.1" },
  }),
  "apps/api/server.js": "module.exports = require('lib') + require('ms')('1s');\n",
  "packages/lib/package.json": json({ name: "lib", version: "1.0.0", main: "index.js" }),
  "packages/lib/index.js": "module.exports = 'lib';\n",
});

const managers: [
  name: string,
  field: string,
  program: string[],
  lock: string[],
  inner: string,
  files?: Files,
][] = [
  ["npm", "npm@10.9.0", ["npm"], ["install", "--package-lock-only"], "npm run build --workspace=api"],
  [
    "pnpm",
    "pnpm@10.12.1",
    ["npm", "exec", "--yes", "--package=pnpm@10.12.1", "--", "pnpm"],
    ["install", "--lockfile-only"],
    "pnpm run --filter=api build",
  ],
  [
    "yarn 1",
    "yarn@1.22.22",
    ["npm", "exec", "--yes", "--package=yarn@1.22.22", "--", "yarn"],
    ["install"],
    "yarn workspace api build",
  ],
  [
    "yarn 4",
    "yarn@4.9.2",
    ["npm", "exec", "--yes", "--package=@yarnpkg/cli-dist@4.9.2", "--", "yarn"],
    ["install", "--mode=update-lockfile"],
    "yarn workspace api build",
    { ".yarnrc.yml": "nodeLinker: node-modules\nenableTelemetry: false\n" },
  ],
  [
    "bun",
    "bun@1.2.15",
    ["npm", "exec", "--yes", "--package=bun@1.2.15", "--", "bun"],
    ["install", "--lockfile-only"],
    "bun run --filter=api build",
  ],
];

/** Names of all packages in any node_modules of a release. */
function installed(dir: string): Set<string> {
  const found = new Set<string>();
  for (const path of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
    const name = /(?:^|\/)node_modules\/([^./][^/]*)$/.exec(path)?.[1];
    if (name && existsSync(join(dir, path, "package.json"))) found.add(name);
  }
  return found;
}

test.each(managers)(
  "%s: frozen install, build, production only after; a drifted lockfile is refused",
  async (_, field, program, lock, inner, files = {}) => {
    // A command of the user's finds the manager too, though the server has none.
    const migrate = `${field.split("@")[0]} --version > version`;
    const { repo, deploy, released, log, env } = deployer({ directory: "apps/api", migrate }, home);
    repo.commit({ ...monorepo(field, inner), ...files }, "without a lockfile", { push: false });
    const [file = "", ...args] = [...program, ...lock];
    execFileSync(file, args, {
      cwd: repo.work,
      env: { ...env, NODE_ENV: "", YARN_ENABLE_IMMUTABLE_INSTALLS: "false" },
      stdio: "pipe",
    });
    const sha = repo.commit({});
    expect(await deploy(sha), log.text()).toEqual({ status: "succeeded" });
    expect(readFileSync(released("apps/api/built"), "utf8")).toBe("function");
    if (!field.startsWith("npm"))
      expect(readFileSync(released("version"), "utf8").trim()).toBe(field.split("@")[1]);
    const answer = execFileSync(process.execPath, ["-p", "require('./server.js')"], {
      cwd: released("apps/api"),
    });
    expect(answer.toString()).toBe("lib1000\n");
    const names = installed(released("."));
    expect(names).toContain("ms");
    expect(names).not.toContain("picocolors");
    expect(names).not.toContain("isexe");

    // The same packages again, twice: not installed, and yet all there and nothing too much.
    for (const time of ["once", "twice"]) {
      const before = log.text().length;
      const next = repo.commit({ "apps/api/more.js": `// ${time}\n` });
      expect(await deploy(next), log.text()).toEqual({ status: "succeeded" });
      const isKept = log.text().slice(before).includes("The packages are those of an earlier deploy");
      expect(isKept, log.text().slice(before)).toBe(!field.startsWith("yarn@4"));
      expect(installed(released("."))).toEqual(names);
      const again = execFileSync(process.execPath, ["-p", "require('./server.js')"], {
        cwd: released("apps/api"),
      });
      expect(again.toString()).toBe("lib1000\n");
    }

    const plain = repo.commit({ "package.json": monorepo(field, "", { scripts: {} })["package.json"] ?? "" });
    expect(await deploy(plain), log.text()).toEqual({ status: "succeeded" });
    expect(
      [...installed(released("."))].filter((name) => ["ms", "isexe", "picocolors"].includes(name)),
    ).toEqual(["ms"]);

    const manifest = JSON.parse(readFileSync(join(repo.work, "apps/api/package.json"), "utf8"));
    const drifted = repo.commit({
      "apps/api/package.json": json({
        ...manifest,
        dependencies: { ...manifest.dependencies, "left-pad": "1.3.0" },
      }),
    });
    expect(await deploy(drifted), log.text()).toMatchObject({
      status: "failed",
      error: {
        code: "install_failed",
        message: expect.stringContaining("The lockfile does not fit package.json"),
      },
    });
  },
);

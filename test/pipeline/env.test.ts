import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { appEnv, baseEnv } from "../../src/pipeline/env.js";
import { isWatched } from "../../src/pipeline/watch-list.js";
import { tempDir } from "../support/temp.js";

test("a command's base holds what finds programs, keys and proxies, and no secret of the daemon", () => {
  const base = baseEnv({
    PATH: "/usr/bin",
    HOME: "/home/app",
    SSH_AUTH_SOCK: "/run/agent",
    https_proxy: "http://proxy",
    NO_PROXY: "localhost",
    DEPLOY_SECRET: "hush",
    NODE_ENV: "production",
    NODE_OPTIONS: "--inspect",
    npm_config_registry: "x",
    GIT_DIR: "/x",
  });
  expect(Object.keys(base).sort()).toEqual(
    ["HOME", "NO_PROXY", "PATH", "SSH_AUTH_SOCK", "https_proxy"].sort(),
  );
});

test("a PATH that knows no node is given the one that runs dropless", () => {
  expect(baseEnv({ PATH: "/nowhere" }).PATH).toBe(`/nowhere:${dirname(process.execPath)}`);
  expect(baseEnv({ PATH: dirname(process.execPath) }).PATH).toBe(dirname(process.execPath));
});

test("env stands over envFile, which is read as dotenv reads it", () => {
  const envFile = join(tempDir(), "api.env");
  writeFileSync(
    envFile,
    `# comment\nA=1\nexport B="two words"\nC='a#b'\nEMPTY=\nURL=postgres://u:p@h/db?x=1\n`,
  );
  expect(appEnv({ name: "api", env: { A: "over", D: "4" }, envFile })).toEqual({
    A: "over",
    B: "two words",
    C: "a#b",
    D: "4",
    EMPTY: "",
    URL: "postgres://u:p@h/db?x=1",
  });
  expect(() => appEnv({ name: "api", env: {}, envFile: "/no/such/file" })).toThrowError(
    expect.objectContaining({ code: "env_file_unreadable" }),
  );
});

test.each([
  [["apps/api/**"], ["apps/api/src/x.ts"], true],
  [["apps/api/**"], ["apps/apix/x.ts", "README.md"], false],
  [["packages"], ["packages/a/b/c"], true],
  [["packages/"], ["packages/.hidden"], true],
  [["*.json"], ["deep/package.json"], false],
  [["**/*.json"], ["deep/package.json"], true],
  [["apps/{api,web}/**"], ["apps/web/x"], true],
  [["apps/[id]/**"], ["apps/d/x"], true],
  [["a"], [], false],
  [undefined, [], true],
])("watch %j sees %j: %s", (watch, files, expected) => {
  expect(isWatched(watch, files)).toBe(expected);
});

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Finding } from "../../src/cli/check/finding.js";
import { nameOf } from "../../src/cli/init/guess.js";
import { nginxBlock, webhookPage } from "../../src/cli/init/text.js";
import { runCli } from "../../src/cli/program.js";
import { tempDir } from "../support/temp.js";

async function run(cwd: string, ...args: string[]) {
  let out = "";
  let err = "";
  const env = { PATH: process.env.PATH, HOME: cwd, PM2_HOME: join(cwd, ".pm2") };
  const code = await runCli(args, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env,
    cwd,
  });
  return { code, out, err };
}

/** A folder that is a checkout with one commit on `main`. */
function checkout(): string {
  const cwd = tempDir("init");
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=T", "-c", "user.email=t@example.com", ...args], {
      cwd,
      stdio: "pipe",
    });
  git("init", "-q", "-b", "main");
  git("commit", "-q", "--allow-empty", "-m", "first");
  return cwd;
}

/** The configuration of one app, of the checkout itself. */
const initApi = (cwd: string) =>
  run(cwd, "init", "--repository", cwd, "--app", "api", "--root", join(cwd, "api"), "--json");

describe("dropless init", () => {
  it("writes a configuration in which check finds no fault, and a secret of its own", async () => {
    const cwd = checkout();
    const made = await initApi(cwd);
    expect(made).toMatchObject({ code: 0, err: "" });
    const { secret, secretFile } = JSON.parse(made.out);
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(readFileSync(secretFile, "utf8").trim()).toBe(secret);
    expect(statSync(secretFile).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(cwd, "dropless.yaml"), "utf8")).not.toContain(secret);

    const checked = await run(cwd, "check", "--json");
    const { findings } = JSON.parse(checked.out) as { findings: Finding[] };
    // What else runs on this machine is not its business.
    expect(findings.filter(({ level, subject }) => level === "fault" && subject !== "daemon")).toEqual([]);
    expect(findings).toContainEqual({
      level: "ok",
      subject: "api",
      message: expect.stringContaining("git reaches"),
    });
    expect(existsSync(join(cwd, ".pm2"))).toBe(false);
  });

  it.each([
    [
      { scripts: { start: "NODE_ENV=production node --enable-source-maps ./dist/server.js -v" } },
      "dist/server.js",
    ],
    [{ scripts: { start: "next start" }, main: "lib/main.js" }, "lib/main.js"],
    [{ scripts: { start: "node ." } }, "server.js"],
  ])("has PM2 start what `npm start` starts: %j", async (manifest, script) => {
    const cwd = checkout();
    writeFileSync(join(cwd, "package.json"), JSON.stringify(manifest));
    const made = await initApi(cwd);
    expect(made).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(join(cwd, "dropless.yaml"), "utf8")).toContain(`script: ${script},`);
  });

  it("says what to set up at GitHub and nginx", async () => {
    const cwd = checkout();
    const args = [
      "--repository",
      "git@github.com:acme/api.git",
      "--port",
      "3000",
      "--root",
      join(cwd, "api"),
    ];
    const { code, out } = await run(cwd, "init", ...args, "--public-url", "https://example.com/_dropless");
    expect(code).toBe(0);
    expect(out).toContain("https://github.com/acme/api/settings/hooks/new");
    expect(out).toContain("https://example.com/_dropless/webhooks/deploy");
    expect(out).toContain("location /_dropless/ {");
  });

  it("never overwrites, and without anybody to ask says which flag is missing", async () => {
    const cwd = checkout();
    const nothing = await run(cwd, "init");
    expect(nothing.code).toBe(2);
    expect(nothing.err).toContain("--repository");
    expect((await run(cwd, "init", "--repository", cwd, "--app", "a", "--root", join(cwd, "a"))).code).toBe(
      0,
    );
    const again = await run(cwd, "init", "--repository", cwd);
    expect(again.err).toContain("[config_exists]");
    expect(again.code).toBe(2);
  });

  it("a fault of the doctor is exit code 1, a configuration that cannot be used 2", async () => {
    const cwd = checkout();
    await run(cwd, "init", "--repository", join(cwd, "nowhere"), "--app", "a", "--root", join(cwd, "a"));
    const checked = await run(cwd, "check");
    expect(checked.code).toBe(1);
    expect(checked.out).toContain("There is no repository at");
    expect((await run(tempDir("empty"), "check")).code).toBe(2);
  });
});

describe("what init finds out", () => {
  it.each([
    ["git@github.com:acme/api.git", "api"],
    ["https://example.com/a/b c/", "b-c"],
    ["/srv/git/My.App.git", "My.App"],
    ["", "app"],
  ])("the name in %j is %s", (repository, name) => expect(nameOf(repository)).toBe(name));

  it("the place of the webhook, only for GitHub", () => {
    expect(webhookPage("https://github.com/acme/api")).toBe("https://github.com/acme/api/settings/hooks/new");
    expect(webhookPage("https://gitlab.com/acme/api.git")).toBeUndefined();
  });

  it("an nginx block for a host name of its own", () => {
    expect(nginxBlock("https://deploy.example.com")).toContain("location / {");
  });
});

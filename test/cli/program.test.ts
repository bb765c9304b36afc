import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.js";
import { freePort, tempDir } from "../support/temp.js";

async function run(args: string[], { cwd = tempDir("cli"), env = {} as Record<string, string> } = {}) {
  let out = "";
  let err = "";
  const code = await runCli(args, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env,
    cwd,
  });
  return { code, out, err };
}

const configured = async () => {
  const cwd = tempDir("cli");
  writeFileSync(
    join(cwd, "dropless.yaml"),
    `server: { port: ${await freePort()} }\napps:\n  api:\n    repository: acme/api\n    root: ./api\n    secrets: [env:NOT_SET_HERE]\n    pm2: { script: server.js }\n    port: 3000\n`,
  );
  return cwd;
};

describe("the command line", () => {
  it("says what is wrong with a command, and exits 2", async () => {
    const unknown = await run(["deploi"]);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toMatch(/unknown command 'deploi'[\s\S]*\[usage\]/);
    expect((await run(["hold", "api"])).code).toBe(2);
    expect((await run(["list", "-n", "0"])).err).toContain("from 1 to 100");
  });

  it("shows help, and exits 0", async () => {
    const help = await run(["--help"]);
    expect(help.code).toBe(0);
    expect((await run(["resume", "--help"])).out).toContain("\n\nend an app's hold.\n\n");
    for (const name of ["deploy", "status", "list", "logs", "rollback", "cancel", "hold", "resume", "token"])
      expect(help.out).toContain(`  ${name}`);
  });

  it("without a configuration: says where it looked, exits 2, shows no stack", async () => {
    const { code, err } = await run(["list"]);
    expect(code).toBe(2);
    expect(err).toMatch(/dropless\.yaml[\s\S]*\[config_invalid\][\s\S]*→ /);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it("without a daemon: exits 3, although the secrets are not set in this shell", async () => {
    const { code, err } = await run(["deploy"], { cwd: await configured() });
    expect(err).toContain("[no_daemon]");
    expect(code).toBe(3);
  });

  it("an app that is not configured is asked wrongly, with --here too: exits 2", async () => {
    const { code, err } = await run(["deploy", "ai", "--here"], { cwd: await configured() });
    expect(err).toMatch(/\[app_unknown\][\s\S]*api/);
    expect(code).toBe(2);
  });

  it("says faults as JSON to a program", async () => {
    const { code, out } = await run(["list", "--json"], { cwd: await configured() });
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "no_daemon", hint: expect.any(String) } });
  });

  it("sends the local token nowhere but to the local daemon", async () => {
    const env = { DROPLESS_URL: "http://127.0.0.1:1" };
    const { code, err } = await run(["list"], { cwd: await configured(), env });
    expect(code).toBe(2);
    expect(err).toContain("DROPLESS_TOKEN");
  });

  it("makes a token whose hash is what the configuration takes", async () => {
    const { code, out } = await run(["token", "create", "alice", "--scope", "read", "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      name: "alice",
      scope: "read",
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect((await run(["token", "create", "bob", "--scope", "king"])).code).toBe(2);
  });
});

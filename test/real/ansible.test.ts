import { execFileSync, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { repositoryRoot } from "../support/pages.ts";
import { createPrivatePm2, type PrivatePm2 } from "../support/pm2.ts";
import { createRepo } from "../support/repo.ts";
import { freePort, makeTempDir, removeTempDir } from "../support/temp.ts";
import { canTest, findTool } from "../support/tools.ts";

const ansible = join(repositoryRoot, "scripts/ansible");
/** Cloning, `npm ci` and the build take a quarter of a minute: once, where everything is tested. */
const installs = process.env.DROPLESS_TEST_ALL === "1" && process.versions.node.startsWith("20.");
const server = `require("node:http").createServer((_, res) => res.end(process.env.GREETING)).listen(process.env.PORT);`;

describe.runIf(canTest("ansible-playbook"))("the Ansible role", () => {
  let dir = "";
  let pm2: PrivatePm2 | undefined;
  let port = 0;
  const of = (...path: string[]) => join(dir, ...path);

  beforeAll(async () => {
    dir = makeTempDir("ansible");
    pm2 = createPrivatePm2();
    port = await freePort();
    const repo = createRepo(dir, "api");
    repo.commit({ "server.js": server });
    const me = userInfo();
    const play = {
      hosts: "localhost",
      connection: "local",
      gather_facts: false,
      roles: [
        {
          role: "dropless",
          vars: {
            dropless_source: repositoryRoot,
            dropless_version: "HEAD",
            dropless_install: installs,
            dropless_dir: installs ? of("opt") : repositoryRoot,
            dropless_link: of("bin/dropless"),
            dropless_user: me.username,
            dropless_group: execFileSync("id", ["-gn"], { encoding: "utf8" }).trim(),
            dropless_root_user: me.username,
            dropless_become: false,
            dropless_service: "none",
            dropless_environment: {
              ...pm2.env,
              npm_config_prefer_offline: "true",
              // The clone of a folder that is somebody else's, which git refuses by default.
              GIT_CONFIG_COUNT: "1",
              GIT_CONFIG_KEY_0: "safe.directory",
              GIT_CONFIG_VALUE_0: "*",
            },
            dropless_config_dir: of("etc"),
            dropless_secrets: { "api.secret": "0123456789abcdef0123456789abcdef" },
            dropless_shared_files: [{ app: "api", path: ".env", content: "A=1\n" }],
            dropless_config: {
              dataDir: of("data"),
              pm2Home: pm2.home,
              server: { port: await freePort() },
              apps: {
                api: {
                  repository: repo.url,
                  root: of("srv"),
                  secrets: [`file:${of("etc/api.secret")}`],
                  shared: [".env"],
                  pm2: { script: "server.js", instances: 2 },
                  port,
                  env: { GREETING: "hello" },
                  health: { soak: "200ms", watch: "300ms", successes: 1 },
                },
              },
            },
          },
        },
      ],
    };
    mkdirSync(of("bin"));
    writeFileSync(of("play.yml"), JSON.stringify([play]));
  });
  afterAll(async () => {
    await pm2?.end();
    if (dir) removeTempDir(dir);
  });

  async function play() {
    const program = findTool("ansible-playbook");
    if (!program)
      throw new Error(
        "ansible-playbook is not installed, and DROPLESS_TEST_ALL=1 asks for everything to be tested",
      );
    const child = spawn(program, ["-i", "localhost,", of("play.yml")], {
      cwd: dir,
      env: {
        PATH: `${dirname(process.execPath)}:${process.env.PATH}`,
        HOME: of("home"),
        LANG: "C.UTF-8",
        ANSIBLE_ROLES_PATH: join(ansible, "roles"),
        ANSIBLE_NOCOWS: "1",
        ANSIBLE_PIPELINING: "1",
        ANSIBLE_LOCAL_TEMP: of("tmp"),
        ANSIBLE_REMOTE_TEMP: of("tmp"),
        ANSIBLE_DEPRECATION_WARNINGS: "0",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        said += chunk;
      });
    }
    const code = await new Promise((resolve) => child.once("close", resolve));
    const recap = Object.fromEntries(
      [...said.matchAll(/(\w+)=(\d+)/g)].slice(-7).map((match) => [match[1], Number(match[2])]),
    );
    return { code, said, recap };
  }

  it("installs, configures and makes the first deploy; a second run changes nothing", async () => {
    const first = await play();
    expect(first.code, first.said).toBe(0);
    expect(first.recap.changed, first.said).toBeGreaterThan(4);
    expect(first.said).not.toContain("0123456789abcdef");
    if (installs) expect(readlinkSync(of("bin/dropless"))).toBe(of("opt/dist/cli.js"));
    expect(statSync(of("etc/api.secret")).mode & 0o777).toBe(0o640);
    const live = readlinkSync(of("srv/current"));
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    expect(await answer.text()).toBe("hello");
    expect((await pm2?.list())?.length).toBe(2);

    const second = await play();
    expect(second.recap, second.said).toMatchObject({ changed: 0, failed: 0 });
    expect(readlinkSync(of("srv/current"))).toBe(live);
  });

  it("has an example playbook that ansible can read, with a configuration that is right", () => {
    copyFileSync(join(ansible, "playbook.example.yml"), of("example.yml"));
    const env = {
      PATH: process.env.PATH,
      HOME: dir,
      LANG: "C.UTF-8",
      ANSIBLE_ROLES_PATH: join(ansible, "roles"),
    };
    const program = findTool("ansible-playbook") ?? "ansible-playbook";
    execFileSync(program, ["--syntax-check", "-i", "servers,", of("example.yml")], { env, stdio: "pipe" });
    const [{ roles }] = parse(readFileSync(of("example.yml"), "utf8"));
    const defaults = parse(readFileSync(join(ansible, "roles/dropless/defaults/main.yml"), "utf8"));
    for (const { vars } of roles)
      expect(Object.keys(defaults)).toEqual(expect.arrayContaining(Object.keys(vars)));
    expect(existsSync(join(ansible, "roles/dropless/tasks/main.yml"))).toBe(true);
  });
});

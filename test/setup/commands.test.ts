import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.js";
import { bench, operators } from "../http/bench.js";
import { codeBlocks, pages, readPage, repositoryRoot } from "../support/pages.ts";
import { tempDir } from "../support/temp.js";
import { canTest, findTool } from "../support/tools.js";

/** What the pages tell people to type, in blocks and in the text; remarks behind two spaces are none. */
const typed = [
  ...codeBlocks()
    .filter(({ language, title }) => language === "sh" || title === "commands")
    .flatMap(({ where, text }) =>
      text.split("\n").map((line) => [where, line.split(/\s+#|\s{2,}/)[0] ?? ""]),
    ),
  ...pages().flatMap((page) =>
    [...readPage(page).matchAll(/`([^`\n]+)`/g)].map((match) => [page, match[1] ?? ""]),
  ),
] as [where: string, line: string][];

const ofDropless = typed.flatMap(([where, line]) => {
  const [, command] = /^(?:sudo (?:-u|-iu) \w+ )?dropless (.+)$/.exec(line.trim()) ?? [];
  return command && !/^[A-Z…]/.test(command) ? [[where, command] as const] : [];
});

async function help(args: string[]): Promise<string> {
  let out = "";
  const write = (text: string) => (out += text);
  const code = await runCli([...args, "--help"], { stdout: { write }, stderr: { write }, env: {}, cwd: "/" });
  return code === 0 ? out : `exit code ${code}: ${out}`;
}

describe("commands on the pages", () => {
  it("of dropless exist, with the options that are shown", async () => {
    expect(ofDropless.length).toBeGreaterThan(20);
    for (const [where, command] of new Set(ofDropless)) {
      const words = command.split(/\s+/);
      const names = words[0] === "token" ? words.slice(0, 2) : words.slice(0, 1);
      if (names[0]?.startsWith("-")) continue;
      const text = await help(names);
      expect(text, `${where}: dropless ${command}`).toContain(`Usage: dropless ${names.join(" ")}`);
      for (const flag of words.filter((word) => /^-{1,2}[a-z]/.test(word)))
        expect(text, `${where}: dropless ${command}`).toMatch(new RegExp(`(^|\\s)${flag}\\b`, "m"));
    }
  });

  it("of npm are scripts of this package", () => {
    const { scripts } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8"));
    const own = codeBlocks().filter(
      ({ where, language }) => where.startsWith("README.md") && language === "sh",
    );
    const names = own.flatMap(({ text }) =>
      [...text.matchAll(/\bnpm run ([\w-]+)|\bnpm (test)\b/g)].map((match) => match[1] ?? match[2]),
    );
    expect(names).toContain("demo");
    for (const name of names) expect(Object.keys(scripts)).toContain(name);
  });

  it("of this repository's own files name files that are there", () => {
    const paths = typed.flatMap(([where, line]) =>
      [
        ...line.matchAll(/(?:\/opt\/dropless\/|^| )((?:(?:scripts|docs)\/[\w./-]+|dist\/[\w/-]+\.js\b))/g),
      ].map((match) => [where, match[1] ?? ""]),
    );
    expect(paths.length).toBeGreaterThan(3);
    for (const [where, path] of paths) {
      const source = path?.replace(/^dist\/(.*)\.js$/, "src/$1.ts") ?? "";
      expect([where, existsSync(join(repositoryRoot, source))]).toEqual([where, true]);
    }
  });

  it("of trigger-deploy.sh know their options", () => {
    const { stdout } = spawnSync("sh", [join(repositoryRoot, "scripts/trigger-deploy.sh"), "--help"], {
      encoding: "utf8",
    });
    const shown = pages().flatMap((page) =>
      [...readPage(page).matchAll(/trigger-deploy\.sh( --.*)$/gm)].map((match) => match[1] ?? ""),
    );
    expect(shown.length).toBeGreaterThan(0);
    for (const flag of shown.join(" ").match(/--[a-z-]+/g) ?? []) expect(stdout).toContain(flag);
  });

  /** Where each program's commands are tested; the ones not named here are run below, as they are written. */
  const elsewhere: Record<string, string> = {
    dropless: "above, and for real in e2e/cli.test.ts",
    npm: "above; README's own by npm itself before any test runs",
    node: "above: the files are there",
    git: "real/ansible.test.ts clones and installs",
    nginx: "real/nginx.test.ts reads the very file",
    systemctl: "systemd.test.ts has systemd read the unit",
    curl: "below, against a daemon",
    certbot: "needs a public host name",
    ssh: "asks GitHub",
    sudoedit: "a person's editor",
    exit: "ends the shell that `sudo -i` began",
  };
  const shell = codeBlocks().filter(({ language }) => language === "sh");
  const commands = shell.flatMap(({ where, text }) =>
    text
      .split("\n")
      .map((line) => line.replace(/^\s+|\s+#.*$/g, "").replace(/^sudo (?:-i?u \w+ ?)?/, ""))
      .filter(Boolean)
      .map((line) => ({ where, line, program: line.split(/\s/)[0] ?? "" })),
  );

  it("in blocks are ones that a shell can read, and each is run here or has its test elsewhere", () => {
    for (const { where, text } of shell) {
      const { status, stderr } = spawnSync("sh", ["-n"], { input: text, encoding: "utf8" });
      expect([where, status, stderr]).toEqual([where, 0, ""]);
    }
    const root = tempDir("server");
    for (const folder of [
      "opt",
      "etc/systemd/system",
      "etc/nginx/conf.d",
      "usr/local/bin",
      "home/app/api",
      "home/app/my-playbooks/roles",
      "srv",
      "var/lib",
    ])
      mkdirSync(join(root, folder), { recursive: true });
    symlinkSync(repositoryRoot, join(root, "opt/dropless"));
    writeFileSync(join(root, "home/app/api/.env"), "");
    mkdirSync(join(root, "home/app/.ssh"));
    // Where there is no ssh-keygen, what it leaves.
    const keygen = findTool("ssh-keygen");
    if (!keygen) writeFileSync(join(root, "home/app/.ssh/id_ed25519.pub"), "");
    const run = commands.filter(
      ({ program }) => !(program in elsewhere) && (keygen || program !== "ssh-keygen"),
    );
    expect(run.length).toBeGreaterThan(8);
    const script = run
      .map(({ line }) => line.replace(/ -o app -g app/, "").replace(/(?<=[\s"])\/(?=[a-z])/g, `${root}/`))
      .join("\n");
    const { status, stderr } = spawnSync("sh", ["-ex"], {
      input: script,
      encoding: "utf8",
      cwd: root,
      env: { PATH: process.env.PATH, HOME: join(root, "home/app") },
    });
    expect([status, stderr.split("\n").slice(-3).join("\n")]).toEqual([0, expect.any(String)]);
    expect(existsSync(join(root, "srv/api/shared/.env"))).toBe(true);
    expect(existsSync(join(root, "etc/systemd/system/dropless.service"))).toBe(true);
  });

  it.runIf(canTest("curl"))("of curl do what the page says, against a daemon", async () => {
    const { listen, queue } = await bench();
    const url = await listen();
    const asked = commands.filter(({ program }) => program === "curl");
    expect(asked.length).toBeGreaterThan(1);
    for (const { where, line } of asked) {
      const child = spawn(
        "sh",
        ["-c", line.replace("curl ", "curl -sS -w '\\n%{http_code}' ").replace("http://127.0.0.1:9000", url)],
        {
          env: { PATH: process.env.PATH, TOKEN: operators.deployer },
        },
      );
      const out = (await child.stdout.toArray()).join("");
      expect([where, out]).toEqual([where, expect.stringMatching(/\n20[02]$/)]);
    }
    expect(queue.list({ limit: 10 }).deploys.length).toBeGreaterThan(0);
  });
});

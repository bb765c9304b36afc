import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCli } from "../../src/cli/program.js";
import { codeBlocks, pages, readPage, repositoryRoot } from "../support/pages.ts";

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
      [...line.matchAll(/(?:\/opt\/dropless\/|^| )((?:scripts|docs|dist)\/[\w./-]+)/g)].map((match) => [
        where,
        match[1] ?? "",
      ]),
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
});

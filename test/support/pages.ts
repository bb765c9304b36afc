import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

export const repositoryRoot = join(import.meta.dirname, "../..");

interface Block {
  /** `README.md, block 3`: for messages. */
  where: string;
  language: string;
  /** What stands behind `title=`, or nothing. */
  title: string;
  text: string;
}

/** Every Markdown page a reader of the project meets, relative to its root. */
export const pages = (): string[] => [
  ...readdirSync(repositoryRoot).filter((name) => name.endsWith(".md")),
  ...["docs", "scripts"].flatMap((folder) =>
    readdirSync(join(repositoryRoot, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".md"))
      .map((name) => `${folder}/${name}`),
  ),
];

export const readPage = (page: string): string => readFileSync(join(repositoryRoot, page), "utf8");

/** The fenced code blocks of all pages. */
export const codeBlocks = (): Block[] =>
  pages().flatMap((page) =>
    [...readPage(page).matchAll(/^( *)```(\w+)(?: title=(\S+))?\n([\s\S]*?)^ *```$/gm)].map((match, i) => ({
      where: `${page}, block ${i + 1}`,
      language: match[2] ?? "",
      title: match[3] ?? "",
      text: (match[4] ?? "").replaceAll(new RegExp(`^${match[1]}`, "gm"), ""),
    })),
  );

const withoutCode = (text: string): string =>
  text.replace(/^ *```[\s\S]*?^ *```$/gm, "").replace(/`[^`\n]*`/g, "");

/** GitHub's anchor for a heading. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- _]/gu, "")
    .trim()
    .replaceAll(" ", "-");

/** Links of a page that lead nowhere inside the repository; links to other hosts are not asked. */
export function deadLinks(page: string): string[] {
  return [...withoutCode(readPage(page)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1] ?? "")
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [path = "", fragment] = link.split("#");
      const target = path ? relative(repositoryRoot, join(repositoryRoot, dirname(page), path)) : page;
      if (!existsSync(join(repositoryRoot, target))) return true;
      if (!fragment) return false;
      const headings = [...readPage(target).matchAll(/^#+ (.*)$/gm)].map((match) => anchor(match[1] ?? ""));
      return !headings.includes(fragment);
    });
}

import { dirname, join } from "node:path";
import { createInterface } from "node:readline/promises";
import { Fault } from "../../domain/fault.js";
import type { Session } from "../session.js";
import type { Wishes } from "./guess.js";

interface Question {
  key: keyof Wishes;
  text: string;
  /** Why an answer will not do; undefined when it will. */
  refuse?: (answer: string) => string | undefined;
  /** Not asked when this says so. */
  unless?: (wishes: Wishes) => boolean;
}

const needed = (answer: string) => (answer === "" ? "It is needed." : undefined);

const questions: Question[] = [
  { key: "repository", text: "Git repository", refuse: needed },
  {
    key: "app",
    text: "Name of the app",
    refuse: (answer) =>
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(answer)
        ? undefined
        : "Letters, digits, dots, dashes, underscores.",
  },
  { key: "branch", text: "Branch that goes live", refuse: needed },
  { key: "root", text: "Folder for its releases", refuse: needed },
  {
    key: "script",
    text: "Script that PM2 starts",
    refuse: needed,
    unless: ({ ecosystem }) => ecosystem !== undefined,
  },
  {
    key: "port",
    text: "Port it listens on (empty: none)",
    refuse: (answer) =>
      answer === "" || (/^\d+$/.test(answer) && Number(answer) > 0 && Number(answer) < 65536)
        ? undefined
        : "A number up to 65535.",
  },
  {
    key: "health",
    text: "Path of its health check (empty: /, any answer below 500)",
    refuse: (answer) => (answer === "" || answer.startsWith("/") ? undefined : "It begins with a slash."),
    unless: ({ port }) => !port,
  },
  {
    key: "publicUrl",
    text: "Public address of dropless, such as https://example.com/_dropless (empty: later)",
    refuse: (answer) =>
      answer === "" || /^https?:\/\/[^/]+/.test(answer) ? undefined : "It begins with https://.",
  },
];

/**
 * Asks for what was not said, each with what was found out as its default. Fault `interrupted` on Ctrl-C or
 * when the answers end.
 */
export async function askFor(session: Session, said: Wishes, guessed: Wishes): Promise<Wishes> {
  const { terminal: t, io } = session;
  const wishes: Wishes = { ...guessed };
  const lines = createInterface({
    input: io.stdin as NodeJS.ReadableStream,
    output: io.stdout as NodeJS.WritableStream,
  });
  const left = new AbortController();
  lines.once("close", () => left.abort());

  async function ask(question: string): Promise<string> {
    try {
      return (await lines.question(question, { signal: left.signal })).trim();
    } catch {
      throw new Fault(
        "interrupted",
        "Nothing was written",
        "Run `dropless init` again, or say it all by options.",
      );
    }
  }

  try {
    for (const { key, text, refuse, unless } of questions) {
      if (said[key] !== undefined || unless?.(wishes)) continue;
      for (;;) {
        const otherwise = wishes[key] ? ` ${t.dim(`[${wishes[key]}]`)}` : "";
        const answer = (await ask(`${t.cyan("?")} ${text}${otherwise} `)) || (wishes[key] ?? "");
        const reason = refuse?.(answer);
        if (reason === undefined) {
          wishes[key] = answer || undefined;
          break;
        }
        t.line(`  ${reason}`);
      }
      // The folder is named after the app, whose name has just been settled.
      if (key === "app" && said.root === undefined && wishes.root && wishes.app)
        wishes.root = join(dirname(wishes.root), wishes.app);
    }
  } finally {
    lines.close();
  }
  return wishes;
}

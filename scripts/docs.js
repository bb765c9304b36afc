/**
 * Writes docs/troubleshooting.md from the faults in the code, so that no error code is without its entry.
 *
 *   node scripts/docs.js           writes the page
 *   node scripts/docs.js --check   exits with 1 when the page is not what the code says
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = join(root, "docs", "troubleshooting.md");

/** Where the string, template, comment or bracket that begins at `at` ends: the index behind it. */
function skip(text, at) {
  const first = text[at];
  if (text.startsWith("//", at)) return Math.max(text.indexOf("\n", at), at + 2);
  if (text.startsWith("/*", at)) return text.indexOf("*/", at) + 2;
  if (first === '"' || first === "'" || first === "`") {
    let i = at + 1;
    while (i < text.length && text[i] !== first) {
      if (text[i] === "\\") i += 2;
      else if (first === "`" && text.startsWith("${", i)) i = skip(text, i + 1);
      else i++;
    }
    return i + 1;
  }
  if ("([{".includes(first)) {
    let i = at + 1;
    while (i < text.length && !")]}".includes(text[i])) i = skip(text, i);
    return i + 1;
  }
  return at + 1;
}

/** The arguments of the call whose `(` is at `at`, as source text. */
function argumentsAt(text, at) {
  const found = [];
  let from = at + 1;
  let i = from;
  for (; i < text.length && text[i] !== ")"; ) {
    if (text[i] === ",") {
      found.push(text.slice(from, i));
      from = ++i;
    } else i = skip(text, i);
  }
  found.push(text.slice(from, i));
  return found.map((argument) => argument.trim()).filter(Boolean);
}

/** Every string in an expression, as a reader would see it: what is put in at run time becomes `…`. */
function texts(expression) {
  const found = [];
  for (let i = 0; i < expression.length; ) {
    const end = skip(expression, i);
    if ("\"'`".includes(expression[i])) {
      let text = expression.slice(i + 1, end - 1);
      for (let at = text.indexOf("${"); at >= 0; at = text.indexOf("${")) {
        text = `${text.slice(0, at)}…${text.slice(skip(text, at + 1))}`;
      }
      found.push(text.replace(/\\n/g, " ").replace(/\\(.)/g, "$1"));
      i = end;
    } else if (expression[i] === "(" || expression[i] === "{" || expression[i] === "[") i++;
    else i = end;
  }
  return found.filter((text) => /[A-Za-z]{3}/.test(text));
}

/** Between parts of dropless only: no person meets them. */
export const unseen = new Set(["handed_over", "interrupted"]);

/** What the code cannot say in a sentence. */
const notes = {
  rollback_failed:
    "The release was bad, and putting the one before it back failed as well: the message names both reasons. The app is on " +
    "hold until a person has looked. Correct the second reason (often PM2 itself, or a full disk), then `dropless resume APP` and " +
    "`dropless rollback APP`.",
  broken_beside_old:
    "The one kind that preflight cannot find: it needs the old instances to run. Some requests may have met the new " +
    "instance before it was taken out; the receipt has the number.",
  held: "`dropless status` shows who holds the app and why; `dropless resume APP` ends it.",
  not_signed:
    "Compare both ends: a secret pasted with a line's end or in quotes, another app's secret, a proxy that changes the body.",
};

/** Where a code is put together at run time, what it can be. */
const put = { "${options.what}": ["install", "build", "migrate", "hook"] };
const written = (code) => {
  const [part, names] = Object.entries(put).find(([part]) => code.includes(part)) ?? [];
  return part ? names.map((name) => code.replace(part, name)) : [code];
};

/** The value of a key in an object literal's source; empty when it has none. */
const value = (key, object) => {
  const parts = argumentsAt(`(${object})`, 0);
  return parts.find((part) => part.startsWith(`${key}:`))?.slice(key.length + 1) ?? "";
};

// Not localeCompare: the page must be the same on every machine.
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** `{code, messages, hints}` for each fault that src can make; sorted by code. */
export function faultsIn(files) {
  const found = [];
  const add = (path, code, message, hint) => {
    const names = [...code.matchAll(/"([^"]+)"|`([^`]+)`/g)].flatMap(([, plain, template]) =>
      written(plain ?? template),
    );
    for (const name of names.filter((name) => /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name))) {
      found.push({ path, code: name, messages: texts(message), hints: texts(hint) });
    }
  };
  for (const [path, text] of files) {
    // The constructor, and what parts call their own short way to it.
    const calls = path.startsWith("config/") ? /\bnew Fault\s*\(/g : /\b(?:new Fault|fault)\s*\(/g;
    for (const match of text.matchAll(calls)) {
      const [code = "", message = "", hint = ""] = argumentsAt(text, match.index + match[0].length - 1);
      if (hint !== "") add(path, code, message, hint);
    }
    // What is stored as a deploy's error without being thrown.
    for (const match of text.matchAll(/\{\s*code: ["`]/g)) {
      const object = text.slice(match.index + 1, skip(text, match.index) - 1);
      if (/\bmessage\b/.test(object))
        add(path, value("code", object), value("message", object), value("hint", object));
    }
    // `[code, message]`, where one hint goes for all.
    for (const [, code, message] of text.matchAll(/\["([a-z]+(?:_[a-z]+)+)", "([A-Z][^"]+ [^"]+)"\]/g)) {
      add(path, `"${code}"`, `"${message}"`, "");
    }
  }
  return found
    .filter(({ code }) => !unseen.has(code))
    .sort((a, b) => compare(a.code, b.code) || compare(a.path, b.path));
}

export const sources = () =>
  readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.c?ts$/.test(path))
    .sort()
    .map((path) => [path.replaceAll("\\", "/"), readFileSync(join(root, "src", path), "utf8")]);

const unique = (items) => [...new Set(items)];

export function render(faults) {
  const codes = unique(faults.map((fault) => fault.code));
  const entries = codes.map((code) => {
    const own = faults.filter((fault) => fault.code === code);
    const list = (items) => items.map((item) => `- ${item.replace(/</g, "\\<")}`).join("\n");
    const said = unique(own.flatMap((fault) => fault.messages));
    const todo = unique(own.flatMap((fault) => fault.hints));
    return [
      `## ${code}`,
      notes[code] ?? "",
      said.length > 0 ? `It says:\n\n${list(said)}` : "",
      todo.length > 0 ? `What to do:\n\n${list(todo)}` : "",
    ]
      .filter(Boolean)
      .join("\n\n");
  });
  return `${`# Troubleshooting, by error code

Every error of dropless has a code, says in one sentence what happened and why, and what to do. This page lists them all; it is
generated from the code (\`node scripts/docs.js\`), and \`…\` stands for what is filled in when it happens.

Where to look first: \`dropless status api\` (what is live, the last deploy and its error), \`dropless logs api\` (everything it printed, your app's
stack trace included), \`dropless check\` (the doctor), and \`journalctl -u dropless\` (the daemon itself).

${entries.join("\n\n")}`.trimEnd()}\n`;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const text = render(faultsIn(sources()));
  if (!argv.includes("--check")) writeFileSync(page, text);
  else if (readFileSync(page, "utf8") !== text) {
    console.error("docs/troubleshooting.md is not what the code says; run: node scripts/docs.js");
    exit(1);
  }
}

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

/**
 * The import table of ARCHITECTURE.md, kept by this test. Each part of src may import itself and what stands
 * behind it; an arrow that points up is a breach. Read the table there before you widen a row here.
 */
const middle = ["domain", "config"];
const table: Record<string, string[]> = {
  domain: [],
  config: ["domain"],
  github: middle,
  queue: middle,
  rollout: middle,
  pipeline: [...middle, "rollout"],
  adapters: [...middle, "queue", "pipeline", "rollout"],
  dashboard: [],
  http: [...middle, "github", "queue", "dashboard"],
  extras: [...middle, "github"],
  cli: [...middle, "rollout", "adapters", "http", "daemon"],
  daemon: [...middle, "github", "queue", "pipeline", "rollout", "adapters", "http", "extras"],
  main: [...middle, "daemon"],
  // Runs inside users' apps: it carries nothing of ours with it.
  drain: [],
};

/** Packages that only one part may know, so that replacing one is a change in one place. */
const packages: Record<string, RegExp> = {
  pm2: /^adapters\/pm2\//,
  "simple-git": /^adapters\//,
  "node:sqlite": /^adapters\/sqlite\//,
  "@photostructure/sqlite": /^adapters\/sqlite\//,
  "node:child_process": /^(adapters|cli)\//,
  fastify: /^(http|dashboard)\//,
  commander: /^(cli\.ts$|cli\/)/,
  "prom-client": /^extras\//,
  jose: /^extras\//,
  yaml: /^(config|cli)\//,
  "@octokit/webhooks-methods": /^github\//,
};

const maxLines = 250;
const root = join(import.meta.dirname, "..", "src");

/** `queue/loop.ts` → `queue`; `daemon.ts` → `daemon`. */
const partOf = (path: string): string => path.split("/")[0]?.replace(/\.c?ts$/, "") ?? "";

/** The modules a source text names, in whatever way: static, dynamic, re-export, type, require. */
function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const patterns = [
    /\bfrom\s*["']([^"']+)["']/g,
    /\bimport\s*["']([^"']+)["']/g,
    /\b(?:import|require)\s*\(\s*["']([^"']+)["']/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ""));
}

/** What is wrong with one file (`path` below src), each as a sentence; nothing when all is well. */
function breaches(path: string, source: string): string[] {
  const part = partOf(path);
  const allowed = table[part];
  if (!allowed) return [`${path}: "${part}" has no row in the import table`];
  const found: string[] = [];
  for (const specifier of importsOf(source)) {
    if (specifier.startsWith(".")) {
      const target = partOf(
        relative(root, join(root, dirname(path), specifier)).replace(/\.(c?)js$/, ".$1ts"),
      );
      if (target !== part && !allowed.includes(target))
        found.push(`${path}: ${part} must not import ${specifier}`);
    } else {
      const name = specifier.startsWith("@")
        ? specifier.split("/").slice(0, 2).join("/")
        : specifier.split("/")[0];
      const owner = packages[name ?? ""];
      if (owner && !owner.test(path)) found.push(`${path}: ${specifier} belongs to ${owner.source}`);
      if (part === "drain" && !specifier.startsWith("node:"))
        found.push(`${path}: the preload has no dependencies`);
      if (part === "domain" && !/^node:(crypto|path)$/.test(specifier)) {
        found.push(`${path}: the domain is pure, it must not import ${specifier}`);
      }
    }
  }
  const lines = source.trimEnd().split("\n").length;
  if (lines > maxLines) found.push(`${path}: ${lines} lines, ${maxLines} at most`);
  return found;
}

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => /\.c?ts$/.test(path));

describe("the import table", () => {
  it("is kept by every file of src", () => {
    expect(files.length).toBeGreaterThan(5);
    expect(files.flatMap((path) => breaches(path, readFileSync(join(root, path), "utf8")))).toEqual([]);
  });

  it("is the one ARCHITECTURE.md shows", () => {
    const page = readFileSync(join(root, "..", "ARCHITECTURE.md"), "utf8");
    for (const [part, allowed] of Object.entries(table)) {
      const row = new RegExp(`^\\| \`${part}\` \\|([^|]*)\\|`, "m").exec(page)?.[1] ?? "no row";
      expect([part, [...row.matchAll(/`(\w+)`/g)].map((match) => match[1]).sort()]).toEqual([
        part,
        [...allowed].sort(),
      ]);
    }
  });

  it.each([
    ["domain/x.ts", 'import { a } from "../queue/index.js";'],
    ["domain/x.ts", 'import type { Z } from "zod";'],
    ["queue/x.ts", 'export * from "../adapters/git.js";'],
    ["queue/x.ts", 'const { a } = await import("../http/server.js");'],
    ["rollout/x.ts", 'import pm2 from "pm2";'],
    ["http/x.ts", 'import { a } from "../adapters/git.js";'],
    ["adapters/x.ts", 'import "../daemon.js";'],
    ["http/x.ts", 'import { spawn } from "node:child_process";'],
    ["drain/preload.cts", 'const pino = require("pino");'],
    ["helpers/x.ts", ""],
    ["queue/x.ts", "x\n".repeat(maxLines + 1)],
  ])("fails on a breach in %s: %s", (path, source) => {
    expect(breaches(path, source)).toHaveLength(1);
  });

  it("lets through what is allowed, and what only a comment says", () => {
    expect(
      breaches("queue/x.ts", 'import type { A } from "../domain/deploy.js";\n// import "../http/x.js"'),
    ).toEqual([]);
    expect(breaches("daemon.ts", 'import { b } from "./adapters/git.js";')).toEqual([]);
  });
});

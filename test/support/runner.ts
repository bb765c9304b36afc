import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";

interface Action {
  inputs: Record<string, { default?: string; required?: boolean }>;
  outputs: Record<string, { value: string }>;
  runs: { using: string; steps: { id?: string; shell: string; run: string; env?: Record<string, string> }[] };
}

/** A job's log as GitHub shows it: what the runner took for commands is not in `text`. */
export interface Job {
  code: number;
  text: string[];
  groups: Record<string, string[]>;
  masks: string[];
  errors: string[];
  warnings: string[];
  outputs: Record<string, string>;
  summary: string;
  raw: string;
}

/** The runner's own reading of a step's output: ActionCommandManager, with `::stop-commands::`. */
function read(raw: string): Omit<Job, "code" | "outputs" | "summary"> {
  const seen = { text: [], groups: {}, masks: [], errors: [], warnings: [], raw } as ReturnType<typeof read>;
  let stopped = "";
  let group: string[] | undefined;
  for (const line of raw.split("\n")) {
    const [, name, value = ""] = /^\s*::([\w-]+)(?: [^:]*)?::(.*)$/.exec(line) ?? [];
    if (stopped ? name === stopped : name !== undefined) {
      if (stopped) stopped = "";
      else if (name === "stop-commands") stopped = value;
      else if (name === "group") {
        group = [];
        seen.groups[value] = group;
      } else if (name === "endgroup") group = undefined;
      else if (name === "add-mask") seen.masks.push(value);
      else if (name === "error") seen.errors.push(value);
      else if (name === "warning") seen.warnings.push(value);
      else if (name !== "notice") throw new Error(`a command got through: ${line}`);
    } else if (line.includes("##[") && !stopped) throw new Error(`a command got through: ${line}`);
    else (group ?? seen.text).push(line);
  }
  if (stopped) throw new Error("the runner was left deaf for the steps to come");
  return seen;
}

const pairs = (file: string): Record<string, string> =>
  Object.fromEntries(
    readFileSync(file, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );

/** Runs a composite action's steps as a runner does, with its own environment and nothing else's. */
export async function runAction(
  file: string,
  dir: string,
  given: Record<string, string>,
  github: Record<string, string>,
  seen?: (raw: string) => void,
): Promise<Job> {
  const action = parse(readFileSync(file, "utf8")) as Action;
  if (action.runs.using !== "composite") throw new Error("not a composite action");
  const unknown = Object.keys(given).filter((name) => !(name in action.inputs));
  if (unknown.length > 0) throw new Error(`no such input: ${unknown}`);
  const inputs: Record<string, string> = {};
  const steps: Record<string, Record<string, string>> = {};
  const expand = (text: string): string =>
    text.replace(/\$\{\{\s*([\w.-]+)\s*\}\}/g, (_, path: string) => {
      const [scope = "", name = "", kind, key = ""] = path.split(".");
      if (scope === "inputs") return inputs[name] ?? "";
      if (scope === "github") return github[`GITHUB_${name.toUpperCase()}`] ?? "";
      if (scope === "steps" && kind === "outputs") return steps[name]?.[key] ?? "";
      throw new Error(`a runner knows no ${path} here`);
    });
  for (const [name, input] of Object.entries(action.inputs)) {
    const value = given[name] ?? (input.default === undefined ? undefined : expand(String(input.default)));
    if (value === undefined) throw new Error(`the input ${name} is required`);
    inputs[name] = value;
  }

  let raw = "";
  let code = 0;
  let summary = "";
  for (const step of action.runs.steps) {
    const work = join(dir, randomBytes(4).toString("hex"));
    mkdirSync(work, { recursive: true });
    const files = { GITHUB_OUTPUT: join(work, "output"), GITHUB_STEP_SUMMARY: join(work, "summary") };
    for (const path of Object.values(files)) writeFileSync(path, "");
    writeFileSync(join(work, "step.sh"), expand(step.run));
    const env = Object.fromEntries(
      Object.entries(step.env ?? {}).map(([key, value]) => [key, expand(value)]),
    );
    // Exactly how a runner starts `shell: bash`.
    const child = spawn("bash", ["--noprofile", "--norc", "-eo", "pipefail", join(work, "step.sh")], {
      cwd: work,
      env: {
        PATH: process.env.PATH ?? "",
        CI: "true",
        GITHUB_ACTIONS: "true",
        GITHUB_ACTION_PATH: dirname(file),
        ...github,
        ...files,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        raw += chunk;
        seen?.(raw);
      });
    }
    code = await new Promise<number>((resolve) => child.once("close", (ended) => resolve(ended ?? 1)));
    if (step.id) steps[step.id] = pairs(files.GITHUB_OUTPUT);
    summary += readFileSync(files.GITHUB_STEP_SUMMARY, "utf8");
    if (code !== 0) break;
  }
  const outputs = Object.fromEntries(
    Object.entries(action.outputs).map(([name, output]) => [name, expand(output.value)]),
  );
  return { code, outputs, summary, ...read(raw) };
}

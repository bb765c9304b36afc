import { readFileSync } from "node:fs";
import { type Document, LineCounter, parseDocument } from "yaml";
import { Fault } from "../domain/fault.js";
import type { ConfigFault } from "./faults.js";

/** A Fault `config_invalid` that names every fault in its message, and one by one. */
export type ConfigInvalid = Fault & { faults: ConfigFault[] };

export function configInvalid(file: string, faults: ConfigFault[]): ConfigInvalid {
  const lines = faults.map(
    ({ path, message, hint, line }) =>
      `  ${line ? `line ${line}: ` : ""}${path ? `${path} ` : ""}${message}. ${hint}`,
  );
  const count = faults.length === 1 ? "one fault" : `${faults.length} faults`;
  return Object.assign(
    new Fault(
      "config_invalid",
      [`${file} has ${count}:`, ...lines].join("\n"),
      "Correct the file; `dropless check` shows whether it is right.",
    ),
    { faults },
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Fault(
      "config_invalid",
      `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? "error"})`,
      "The file must be readable by the user that runs dropless.",
    );
  }
}

/** The line of a key, or of the nearest block around it. */
function lineOf(path: string, document: Document, lines: LineCounter): number | undefined {
  const keys = path === "" ? [] : path.split(".");
  for (let count = keys.length; count > 0; count--) {
    const node = document.getIn(keys.slice(0, count), true) as { range?: number[] } | undefined;
    if (node?.range?.[0] !== undefined) return lines.linePos(node.range[0]).line;
  }
  return undefined;
}

/** The file's data, and a way to tell on which lines faults are. Throws `config_invalid` for bad YAML. */
export function readConfigFile(file: string) {
  const lines = new LineCounter();
  const document = parseDocument(readText(file), { lineCounter: lines, prettyErrors: false });
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0)
    throw configInvalid(
      file,
      problems.map((problem) => ({
        path: "",
        message: `this is not YAML: ${problem.message}`,
        hint: "Check indentation, quotes and colons around that line.",
        line: lines.linePos(problem.pos[0]).line,
      })),
    );
  return {
    data: (document.toJS() ?? {}) as unknown,
    /** In the order of the file, with lines. */
    locate: (faults: ConfigFault[]): ConfigFault[] =>
      faults
        .map((fault) => ({ ...fault, line: lineOf(fault.path, document, lines) }))
        .sort((a, b) => (a.line ?? 0) - (b.line ?? 0)),
  };
}

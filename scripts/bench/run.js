/**
 * The benchmarks, one command: what dropless costs beside what one would use instead, measured side by side on the
 * same machine.
 *
 *   npm run bench -- [NAME…] [--runs 5] [--json FILE] [--markdown FILE] [--tiny]
 *
 * Without names all of them. Writes one JSON and one Markdown table (default dist/bench.json and dist/bench.md) and
 * prints the table. `--tiny` is for the tests: everything as small as it goes, and figures that say nothing.
 * Exits with 1 when a goal was missed, with 2 when a benchmark could not be run.
 *
 * A benchmark is a file here that is named in `order` and exports
 *
 *   export const bench = {
 *     name: "deploys",
 *     about: "one line for people",
 *     async run({ runs, tiny, log }) {            // log(text): progress, to stderr
 *       return {
 *         rows: [{
 *           what: "deploy, code changed",
 *           unit: "s",                            // s | ms | /s | MB | … of both figures
 *           ours: [8.1, 8.4, …],                  // one figure for each run, in the order of the runs
 *           theirs: [20.2, 19.8, …],              // the reference's in the same runs; optional
 *           against: "in-place script",           // its name; with `theirs`
 *           goal: { of: "ratio", most: 0.4 },     // of: "ratio" (ours / theirs) | "ours"; most or least; optional
 *           note: "soak and watch 0",             // optional
 *         }],
 *         tables: ["| … |"],                      // more Markdown below the table; optional
 *         facts: { … },                           // goes into the JSON as it is; optional
 *       };
 *     },
 *   };
 *
 * The runner makes the medians, ratios and judgements, so that all benchmarks make them alike: a ratio is that of the
 * medians, and beside it stand the smallest and largest of the runs' own ratios. References take turns run by run
 * (ours, theirs, ours, theirs …). A benchmark cleans up after itself, on Ctrl-C too (lib/interrupt.js).
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machine } from "./lib/machine.js";
import { judge, markdown } from "./lib/report.js";

const order = ["deploys", "quiet", "rollout", "webhook", "logs", "rest", "growth"];
const known = order.filter((name) => existsSync(new URL(`./${name}.js`, import.meta.url)));
const out = fileURLToPath(new URL("../../dist/", import.meta.url));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    json: { type: "string", default: join(out, "bench.json") },
    markdown: { type: "string", default: join(out, "bench.md") },
    tiny: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  process.stdout.write(
    `npm run bench -- [NAME…] [--runs 5] [--json FILE] [--markdown FILE] [--tiny]\nNames: ${known.join(", ")}\n`,
  );
  process.exit(0);
}
const runs = Number(values.runs);
const strange = positionals.filter((name) => !known.includes(name));
if (strange.length > 0 || !Number.isInteger(runs) || runs < 1) {
  process.stderr.write(`There is no ${strange.join(", ") || `--runs ${values.runs}`}: ${known.join(", ")}\n`);
  process.exit(2);
}

const report = { ...machine(), runs, tiny: values.tiny, benches: [] };
for (const name of positionals.length > 0 ? positionals : known) {
  const { bench } = await import(`./${name}.js`);
  const log = (text) => process.stderr.write(`${name}: ${text}\n`);
  const began = performance.now();
  log(bench.about);
  const entry = { name, about: bench.about };
  report.benches.push(entry);
  try {
    const { rows, ...rest } = await bench.run({ runs, tiny: values.tiny, log });
    Object.assign(entry, { rows: rows.map(judge), ...rest });
  } catch (error) {
    entry.failed = error instanceof Error ? error.message : String(error);
    log(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  entry.seconds = Math.round((performance.now() - began) / 1000);
  // After each one: what was measured is not lost with the next.
  for (const [file, text] of [
    [values.json, `${JSON.stringify(report, null, 2)}\n`],
    [values.markdown, markdown(report)],
  ]) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
console.log(markdown(report));
const missed = report.benches.some(({ rows = [] }) => rows.some(({ met }) => met === false));
process.exitCode = report.benches.some(({ failed }) => failed) ? 2 : missed ? 1 : 0;

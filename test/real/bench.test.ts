import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { tempDir } from "../support/temp.js";

const project = join(import.meta.dirname, "../..");

test("npm run bench writes one JSON and one Markdown table with its judgements", async () => {
  const dir = tempDir("bench");
  const [json, markdown] = [join(dir, "bench.json"), join(dir, "bench.md")];
  const args = [
    "scripts/bench/run.js",
    "growth",
    "--tiny",
    "--runs",
    "1",
    "--json",
    json,
    "--markdown",
    markdown,
  ];
  const ended = await promisify(execFile)(process.execPath, args, { cwd: project, timeout: 200_000 }).catch(
    (error: { code?: unknown; stdout: string; stderr: string }) => error,
  );
  const report = JSON.parse(readFileSync(json, "utf8"));
  expect(report.benches, ended.stderr).toMatchObject([{ name: "growth" }]);
  expect(report.benches[0].failed).toBeUndefined();
  for (const row of report.benches[0].rows) {
    expect(row.ratio.median).toBeCloseTo(row.ours.median / row.theirs.median);
    expect(row.met).toBe(row.ratio.median <= row.goal.most);
  }
  expect(readFileSync(markdown, "utf8")).toContain("| what | ratio | goal |");
  expect(ended.stdout).toContain("these figures prove nothing");
});

test("npm run bench names the benchmarks when it is asked for one that there is not", async () => {
  const args = ["scripts/bench/run.js", "nonsense"];
  await expect(promisify(execFile)(process.execPath, args, { cwd: project })).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/nonsense.*deploys.*growth/),
  });
});

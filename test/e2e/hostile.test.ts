import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const script = join(import.meta.dirname, "../../scripts/soak/hostile.js");

it("meets hostile requests with 0 crashes, 0 deploys and 0 answers of 5xx", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    script,
    "--requests",
    "3000",
    "--seed",
    "7",
    "--idle",
    "300",
  ]);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ requests: 3000, crashed: false, deploys: 0, "5xx or no answer in time": 0 });
  // It did meet them: refusals of every kind are among the answers.
  for (const status of ["400", "401", "403", "404", "415", "429"])
    expect(report.answers[status], status).toBeGreaterThan(0);
});

import { basename } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The files that take a minute or more begin first, so that the last worker does not end with one of them. */
const long = [
  "setups",
  "bad-releases",
  "crash",
  "faults",
  "disk",
  "nothing-dropped",
  "package-managers",
  "rollout-shapes",
];
const rank = ({ moduleId }: TestSpecification): number => {
  const place = long.indexOf(basename(moduleId, ".test.ts"));
  return place < 0 ? long.length : place;
};

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/**
 * Two projects. "unit" needs no process of its own and runs wide; "real" starts daemons, PM2 and loads and mostly
 * waits for them: with five of its files beside each other, two cores are busy and not yet crowded.
 */
export default defineConfig({
  root: import.meta.dirname,
  test: {
    passWithNoTests: false,
    globalSetup: ["support/tools.ts"],
    sequence: { sequencer: LongFirst },
    projects: [
      {
        // Packages that are read as sources name source maps that they do not bring.
        logLevel: "error",
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: ["e2e/**", "drain/**", "real/**"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          // It imports JSON in a way that bundlers know and Node does not.
          server: { deps: { inline: ["@actions/workflow-parser"] } },
        },
      },
      {
        test: {
          name: "real",
          include: ["e2e/**/*.test.ts", "drain/**/*.test.ts", "real/**/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          maxWorkers: 5,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

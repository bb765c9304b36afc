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

/** What depends on the host's programs and file systems, and not on the Node that runs it. */
const onHost = [
  "e2e/disk.test.ts",
  "e2e/page.test.ts",
  "real/ansible.test.ts",
  "real/bench.test.ts",
  "real/nginx.test.ts",
  "real/package-managers.test.ts",
];

/** These start daemons, PM2 and loads and mostly wait for them: five files at a time keep two cores busy. */
const slow = { testTimeout: 240_000, hookTimeout: 240_000, maxWorkers: 5, sequence: { groupOrder: 1 } };

/** "unit" needs no process of its own and runs wide, before the others; CI runs "host" on one version of Node. */
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
          // Vitest's own choice, one less than the cores, leaves half of two cores idle: 99 s instead of 37.
          maxWorkers: 4,
          // It imports JSON in a way that bundlers know and Node does not.
          server: { deps: { inline: ["@actions/workflow-parser"] } },
        },
      },
      {
        test: {
          name: "real",
          include: ["e2e/**/*.test.ts", "drain/**/*.test.ts", "real/**/*.test.ts"],
          exclude: onHost,
          ...slow,
        },
      },
      { test: { name: "host", include: onHost, ...slow } },
    ],
  },
});

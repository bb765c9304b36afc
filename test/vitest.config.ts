import { defineConfig } from "vitest/config";

/**
 * Two projects. "unit" needs no process of its own and runs wide; "real" starts daemons, PM2 and loads,
 * so no more than two of its files run beside each other: with more, two cores measure each other.
 */
export default defineConfig({
  root: import.meta.dirname,
  test: {
    passWithNoTests: false,
    globalSetup: ["support/tools.ts"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: ["e2e/**", "drain/**", "real/**"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "real",
          include: ["e2e/**/*.test.ts", "drain/**/*.test.ts", "real/**/*.test.ts"],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

import axe from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { findTool } from "./tools.js";

/** A real Chromium, with nothing of its own outside `home` and no wish to talk to anybody. */
export async function startBrowser(home: string): Promise<Browser> {
  const executablePath = findTool("chromium");
  if (!executablePath)
    throw new Error("chromium is not installed, and DROPLESS_TEST_ALL=1 asks for everything to be tested");
  return chromium.launch({
    executablePath,
    timeout: 120_000,
    env: { PATH: process.env.PATH ?? "", HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/**
 * What keeps people who see or hear it in another way from using the page as it is now, by axe's rules: contrast, names,
 * roles, order of headings, sizes of targets, … One line for each.
 */
export async function barriers(page: Page): Promise<string[]> {
  // Evaluated by the browser's debugger: the page's own policy would let in no script of ours.
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate(
    `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })`,
  )) as import("axe-core").AxeResults;
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(
      ({ target, failureSummary }) => `${id}: ${help}: ${target}: ${failureSummary?.replace(/\s+/g, " ")}`,
    ),
  );
}

import { type Browser, chromium } from "playwright-core";
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

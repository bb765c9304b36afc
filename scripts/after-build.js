/**
 * What tsc leaves to be done: the page's files are copied as they are (they have no build step), and the
 * command line's entry must be executable, so that `npm link` and a link into /usr/local/bin work.
 */
import { chmodSync, cpSync, existsSync, rmSync } from "node:fs";

const at = (path) => new URL(`../${path}`, import.meta.url);

rmSync(at("dist/dashboard/page"), { recursive: true, force: true });
cpSync(at("src/dashboard/page"), at("dist/dashboard/page"), {
  recursive: true,
  filter: (path) => !path.endsWith("tsconfig.json"),
});
if (existsSync(at("dist/cli.js"))) chmodSync(at("dist/cli.js"), 0o755);

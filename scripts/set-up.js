/**
 * Installs and builds dropless where that is still to do, and does nothing where it is done. Needs nothing
 * but Node and npm, so that `npm run demo`, `npm test` and deploy.sh work in a fresh clone.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

// Not import.meta.dirname: a Node that is too old must get as far as being told so.
const root = fileURLToPath(new URL("..", import.meta.url));

const changedAt = (path) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Something of the sources is newer than what was built of it. */
function buildIsOld() {
  // The page's folder is what the build writes last: a build that failed or was cut off is not a build.
  const built = Math.min(...["dist/cli.js", "dist/main.js", "dist/dashboard/page"].map(changedAt));
  const sources = readdirSync(join(root, "src"), { recursive: true }).map((name) => join("src", name));
  return [...sources, "tsconfig.json", "scripts/after-build.js"].some((path) => changedAt(path) > built);
}

const packages = (file) => {
  try {
    return JSON.parse(readFileSync(join(root, file), "utf8")).packages ?? {};
  } catch {
    return {};
  }
};

/** What the lock says is what is installed; packages for development only count when they are needed. */
function isInstalled(withDevelopment) {
  const installed = packages("node_modules/.package-lock.json");
  return Object.entries(packages("package-lock.json")).every(
    ([path, { version, optional, peer, dev }]) =>
      path === "" || optional || peer || (dev && !withDevelopment) || installed[path]?.version === version,
  );
}

function npm(...args) {
  process.stderr.write(`dropless: npm ${args.join(" ")}\n`);
  // NODE_ENV=production would leave the compiler out; standard output belongs to the caller.
  const { NODE_ENV: _, ...env } = process.env;
  const { status, error } = spawnSync("npm", args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  const why = error ? error.message : `it ended with ${status}`;
  process.stderr.write(`✘ dropless could not be made ready: npm ${args.join(" ")}: ${why} [set_up]\n`);
  process.stderr.write(`  → Its last lines say why. ${root} must be writable for this user.\n`);
  process.exit(2);
}

/** Development: also what only tests need. */
export function setUp({ development = false } = {}) {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 20)) {
    process.stderr.write(`✘ dropless needs Node 20.20 or newer, and this is ${process.version} [set_up]\n`);
    process.exit(2);
  }
  const build = buildIsOld();
  if (!isInstalled(development || build)) npm("ci", "--include=dev", "--no-audit", "--no-fund");
  if (build) npm("run", "--silent", "build");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  setUp({ development: process.argv.includes("--development") });

import { execFileSync } from "node:child_process";
import { cpus, loadavg, release } from "node:os";

const said = (file, ...args) => {
  try {
    return execFileSync(file, args, { cwd: import.meta.dirname, encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return "unknown";
  }
};

/** What figures depend on. The load is that before the first benchmark: on a busy machine no figure is worth much. */
export const machine = () => ({
  date: new Date().toISOString(),
  commit: said("git", "rev-parse", "--short", "HEAD"),
  node: process.version,
  npm: said("npm", "--version"),
  cores: cpus().length,
  kernel: release(),
  load: loadavg()[0].toFixed(2),
});

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/** Programs that some tests need and that a machine may lack, and what is not tested without them. */
const optional = {
  nginx: "the nginx configuration, and deploys behind it",
  "ansible-playbook": "the Ansible role",
  "systemd-analyze": "the systemd unit, by systemd itself",
  bash: "the GitHub Action",
  curl: "the GitHub Action",
  openssl: "the GitHub Action",
  perl: "processes of a build that hide",
  chromium: "the page, in a real browser",
} as const;
type Tool = keyof typeof optional;

/** Absolute path of a program in PATH or where Debian keeps daemons; undefined when there is none. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/**
 * For `describe.runIf(canTest("nginx"))`. Where everything must be tested (DROPLESS_TEST_ALL=1, as CI says), it is true
 * even for a missing program, so that its absence is a failure and not a silence.
 */
export const canTest = (name: Tool): boolean =>
  process.env.DROPLESS_TEST_ALL === "1" || findTool(name) !== undefined;

const isRoot = process.getuid?.() === 0;

/**
 * For what needs a file system of its own. Only root can mount one, and not in every container; where root is to test
 * everything, one that cannot be mounted is a failure.
 */
export function canMount(): boolean {
  if (!isRoot) return false;
  if (process.env.DROPLESS_TEST_ALL === "1") return true;
  const dir = mkdtempSync(join(tmpdir(), "dropless-mount-"));
  const mount = (...args: string[]) => spawnSync("mount", args).status === 0;
  const granted = mount("-t", "tmpfs", "none", dir);
  if (granted) spawnSync("umount", [dir]);
  rmSync(dir, { recursive: true });
  return granted && existsSync("/dev/loop-control") && findTool("mkfs.ext4") !== undefined;
}

/** Vitest calls what this returns when all tests are over: what was left out is said last, where it is seen. */
export default function setup(): () => void {
  return () => {
    for (const [name, what] of Object.entries(optional)) {
      if (!findTool(name)) console.log(`\nNOT TESTED: ${what}: ${name} is not installed here.`);
    }
    if (!canMount())
      console.log(
        "\nNOT TESTED: full, broken and read-only disks: no file system of its own can be mounted here (it takes root).",
      );
  };
}

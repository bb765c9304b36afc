import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findGod } from "../../adapters/pm2/god.js";
import { about, type Check } from "./finding.js";

const on = about("systemd");

/** `/system.slice/dropless.service`; undefined where there are no control groups. */
export const groupOf = (cgroup: string): string | undefined => {
  const lines = cgroup.trim().split("\n");
  const line =
    lines.find((one) => one.startsWith("0::")) ?? lines.find((one) => one.includes(":name=systemd:"));
  const group = line?.split(":").slice(2).join(":");
  return group && group !== "/" ? group : undefined;
};

const read = (file: string): string | undefined => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
};

const killMode = (unit: string): Promise<string> =>
  new Promise((resolve) => {
    execFile(
      "systemctl",
      ["show", "--property=KillMode", "--value", "--", unit],
      { timeout: 5000 },
      (error, stdout) => resolve(error ? "" : stdout.trim()),
    );
  });

/** systemd stops a unit by killing everything in its control group; PM2 must not be in the daemon's. */
export const checkControlGroup: Check = async ({ config }) => {
  const god = findGod(config.pm2Home);
  const godGroup = groupOf(read(`/proc/${god?.pid}/cgroup`) ?? "");
  if (!god || !godGroup) return [];
  const daemon = read(join(config.dataDir, "lock.pid"))?.trim();
  const daemonGroup = daemon ? groupOf(read(`/proc/${daemon}/cgroup`) ?? "") : undefined;
  const unit = godGroup.split("/").at(-1) ?? "";
  const shared = unit.endsWith(".service") && (godGroup === daemonGroup || unit.startsWith("dropless"));
  if (shared && !["process", "none"].includes(await killMode(unit)))
    return [
      on.fault(
        `PM2 runs in the control group of ${unit}: restarting that unit kills PM2 and every app`,
        `Set KillMode=process in ${unit} (systemctl edit ${unit}), and give PM2 a unit of its own: \`pm2 startup\`.`,
      ),
    ];
  if (/^session-.*\.scope$/.test(unit))
    return [
      on.note(
        "PM2 was started from a login session and lives in its control group",
        "Where logind has KillUserProcesses=yes, logging out ends every app. A unit of its own is safer: `pm2 startup`.",
      ),
    ];
  return [on.ok(`PM2 is in ${unit}, which no restart of dropless touches`)];
};

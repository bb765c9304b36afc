import { readdirSync, readFileSync, statSync } from "node:fs";
import { findGod } from "../../adapters/pm2/god.js";
import { about, type Check, type Finding } from "./finding.js";

const on = about("PM2");

const older = (version: string, than: string): boolean => {
  const [a, b] = [version, than].map((text) => text.split(".").map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
};

/** Homes of the God daemons that this user runs beside the configured one. */
function otherHomes(home: string, uid: number): string[] {
  const homes = new Set<string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (statSync(`/proc/${pid}`).uid !== uid) continue;
      const title = readFileSync(`/proc/${pid}/cmdline`, "utf8").replace(/\0/g, " ");
      const [, other] = /^PM2 v\S+: God Daemon \((.*)\)/.exec(title) ?? [];
      if (other && other !== home) homes.add(other);
    } catch {
      // It ended while we looked.
    }
  }
  return [...homes];
}

function versionFinding(version: string, home: string): Finding {
  if (version === "") return on.ok(`runs in ${home}`);
  const upgrade =
    "dropless can use it as it is. `pm2 update` renews it, and restarts every app at once: a gap of seconds, so choose the time.";
  if (older(version, "5.0.0"))
    return on.fault(
      `PM2 ${version} runs in ${home}; dropless knows 5.4, 6 and 7`,
      "npm install -g pm2@7, then `pm2 update`; it restarts every app at once: a gap of seconds, so choose the time.",
    );
  if (older(version, "7.0.4"))
    return on.note(
      `PM2 ${version} runs in ${home}; reloads by hand can orphan instances before 7.0.4`,
      upgrade,
    );
  return on.ok(`PM2 ${version} runs in ${home}`);
}

export const checkPm2: Check = async ({ config, uid, processes }) => {
  const home = config.pm2Home;
  const god = findGod(home);
  const others = otherHomes(home, uid).map((other) =>
    on.warning(
      `another PM2 of this user runs in ${other}; dropless uses ${home}`,
      `Set pm2Home to the one that runs your apps; end the other with PM2_HOME=${other} pm2 kill if nobody needs it.`,
    ),
  );
  if (!god)
    return [
      on.note(
        `no PM2 runs in ${home}`,
        "The first deploy starts it, and brings back what it had saved. If your apps run already, pm2Home is wrong, or this is not the user that runs them.",
      ),
      ...others,
    ];
  // It must also answer: a hung God accepts the connection and says nothing.
  const all = await processes();
  return [versionFinding(god.version, home), on.ok(`it answers, with ${all.length} processes`), ...others];
};

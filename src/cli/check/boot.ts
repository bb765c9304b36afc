import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findGod } from "../../adapters/pm2/god.js";
import { about, type Check, type Finding, processesOf } from "./finding.js";

const on = about("boot");

/** Unit files of PM2 for this home, wherever `pm2 startup` or a person has put them. */
function pm2Units(home: string): string[] {
  return ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"].flatMap((folder) => {
    try {
      return readdirSync(folder)
        .filter((name) => /^pm2.*\.service$/.test(name))
        .filter((name) => readFileSync(join(folder, name), "utf8").includes(home));
    } catch {
      return [];
    }
  });
}

/** Names in PM2's saved list; undefined when there is none. */
function savedNames(home: string): Set<string> | undefined {
  try {
    const saved = JSON.parse(readFileSync(join(home, "dump.pm2"), "utf8")) as { name?: string }[];
    return new Set(saved.map(({ name }) => name ?? ""));
  } catch {
    return undefined;
  }
}

/** What is there again after a reboot. */
export const checkBoot: Check = async ({ config, processes }) => {
  const findings: Finding[] = [];
  if (existsSync("/run/systemd/system") && pm2Units(config.pm2Home).length === 0)
    findings.push(
      on.warning(
        `no systemd unit starts the PM2 of ${config.pm2Home}: after a reboot no app runs until dropless brings its own back`,
        "`pm2 startup`, as the user that runs PM2, prints the one command for it.",
      ),
    );
  if (!findGod(config.pm2Home)) return findings;
  const all = await processes();
  const mine = Object.values(config.apps).flatMap((app) => processesOf(app, all));
  const saved = savedNames(config.pm2Home);
  const missing = [...new Set(mine.map(({ name }) => name))].filter((name) => !saved?.has(name));
  if (missing.length > 0)
    findings.push(
      on.warning(
        `PM2's saved list lacks ${missing.join(", ")}: \`pm2 resurrect\` would not bring ${missing.length === 1 ? "it" : "them"} back`,
        "Run `pm2 save` once; dropless saves after every deploy that succeeds.",
      ),
    );
  else if (saved) findings.push(on.ok("PM2's saved list has the apps that run"));
  return findings;
};

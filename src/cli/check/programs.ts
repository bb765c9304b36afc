import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { about, type Check } from "./finding.js";

const onPath = (name: string, path = ""): boolean =>
  path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

export const checkPrograms: Check = ({ config, env, uid }) => {
  const on = about("programs");
  const findings = [on.ok(`Node ${process.versions.node}, the one the apps and builds run on too`)];
  for (const name of ["npm", "sh"])
    if (!onPath(name, env.PATH))
      findings.push(on.fault(`${name} is not in PATH`, `Install it, or set PATH where dropless is started.`));
  if (uid === 0)
    findings.push(
      on.warning(
        "you are root; builds and apps of dropless would run as root",
        "Run dropless as the user that runs PM2: sudo -u USER dropless check.",
      ),
    );
  const asked = new Set(
    Object.values(config.apps).flatMap(({ install }) =>
      typeof install === "string" ? (/^(pnpm|yarn|bun)\b/.exec(install)?.[1] ?? []) : [],
    ),
  );
  for (const name of asked)
    if (!onPath(name, env.PATH))
      findings.push(
        on.warning(
          `an \`install\` command calls ${name}, which is not in PATH`,
          "With `install: auto` dropless brings the one that packageManager names.",
        ),
      );
  return findings;
};

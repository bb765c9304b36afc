import { statSync } from "node:fs";
import { loadConfig } from "../../config/load.js";
import { toFault } from "../../domain/fault.js";
import { about, type Check, type Finding } from "./finding.js";

const on = about("secrets");

/** Secrets are read as the daemon reads them; and who else may write what the daemon runs. */
export const checkSecrets: Check = ({ config, env }) => {
  const findings: Finding[] = [];
  try {
    const apps = Object.values(loadConfig({ config: config.file, env }).config.apps);
    findings.push(on.ok("every secret of the configuration is there"));
    for (const app of apps.filter(({ secrets, oidc }) => secrets.length === 0 && !oidc))
      findings.push(
        about(app.name).note(
          "it has no `secrets`, so it takes no webhook",
          "Deploys by hand work; for a webhook make a secret with `openssl rand -hex 32` and name it.",
        ),
      );
  } catch (thrown) {
    const [first, ...lines] = toFault(thrown).message.split("\n");
    for (const line of lines.length > 0 ? lines : [first ?? ""])
      findings.push(
        on.warning(
          line.trim(),
          "If the daemon gets it from its unit's EnvironmentFile, check with the same; else it will not start.",
        ),
      );
  }
  if ((statSync(config.file).mode & 0o022) !== 0)
    findings.push(
      on.fault(
        `${config.file} can be written by others: whoever writes it runs commands as you`,
        `chmod go-w ${config.file}`,
      ),
    );
  return findings;
};

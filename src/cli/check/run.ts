import { createPm2 } from "../../adapters/pm2/pm2.js";
import type { Config } from "../../config/schema.js";
import { toFault } from "../../domain/fault.js";
import type { Pm2Process } from "../../rollout/pm2.js";
import { checkBoot } from "./boot.js";
import { checkControlGroup } from "./control-group.js";
import { checkDaemon } from "./daemon.js";
import { checkDisk } from "./disk.js";
import { about, type Check, type CheckContext, type Finding } from "./finding.js";
import { checkFolders } from "./folders.js";
import { checkGit } from "./git.js";
import { checkInstances } from "./instances.js";
import { checkPm2 } from "./pm2.js";
import { checkPorts } from "./ports.js";
import { checkPrograms } from "./programs.js";
import { checkSecrets } from "./secrets.js";

const checks: [name: string, check: Check][] = [
  ["programs", checkPrograms],
  ["secrets", checkSecrets],
  ["folders", checkFolders],
  ["disk", checkDisk],
  ["git", checkGit],
  ["PM2", checkPm2],
  ["instances", checkInstances],
  ["boot", checkBoot],
  ["systemd", checkControlGroup],
  ["ports", checkPorts],
  ["daemon", checkDaemon],
];

/** Every check, one after the other; nothing is changed by any. Yields what each finds. */
export async function* runChecks(config: Config, env: NodeJS.ProcessEnv): AsyncGenerator<Finding[]> {
  const pm2 = createPm2({ pm2Home: config.pm2Home });
  let listed: Promise<Pm2Process[]> | undefined;
  const context: CheckContext = {
    config,
    env,
    uid: process.getuid?.() ?? -1,
    processes: () => (listed ??= pm2.list()),
  };
  let pm2Said = false;
  try {
    for (const [name, check] of checks) {
      try {
        yield await check(context);
      } catch (thrown) {
        const fault = toFault(thrown);
        // Several checks ask PM2; that it does not answer is one finding.
        if (fault.code.startsWith("pm2_")) {
          if (!pm2Said) yield [about("PM2").fault(fault.message, fault.hint)];
          pm2Said = true;
        } else yield [about(name).fault(fault.message, fault.hint)];
      }
    }
  } finally {
    await pm2.close();
  }
}

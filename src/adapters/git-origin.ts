import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GitRun } from "./git-run.js";

/** For git's own `store` helper: read by git itself, so that no argument shows what stands in it. */
export const credentialsFile = (gitDir: string): string => join(gitDir, "credentials");

const withPassword = /^(https?:\/\/)([^/?#@:]*:[^/?#]*)@([^/?#]+)/i;

/**
 * Makes `repository` the remote `origin`. `ps` shows everybody arguments, and git hands the address on in those of
 * its helpers: a password goes into a file that only this user can read.
 */
export async function nameOrigin(run: GitRun, gitDir: string, repository: string): Promise<void> {
  const [found, scheme, userinfo, host] = withPassword.exec(repository) ?? [];
  const file = credentialsFile(gitDir);
  const address = found ? `${scheme}${host}${repository.slice(found.length)}` : repository;
  await run(["config", "--replace-all", "remote.origin.url", address]);
  // Also one of an earlier version, whose configuration held the password.
  chmodSync(gitDir, 0o700);
  rmSync(file, { force: true });
  if (found) writeFileSync(file, `${scheme}${userinfo}@${host}\n`, { mode: 0o600 });
}

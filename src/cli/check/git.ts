import { execFile } from "node:child_process";
import { judge, plain } from "../../adapters/git-faults.js";
import type { AppConfig } from "../../config/schema.js";
import { about, type Check, type Finding } from "./finding.js";

/** The address goes by the environment: it may hold a password, and `ps` shows arguments. */
const environment = (app: AppConfig, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  PATH: env.PATH,
  HOME: env.HOME,
  SSH_AUTH_SOCK: env.SSH_AUTH_SOCK,
  HTTPS_PROXY: env.HTTPS_PROXY ?? env.https_proxy,
  LC_ALL: "C.UTF-8",
  GIT_TERMINAL_PROMPT: "0",
  GIT_SSH_COMMAND: "ssh -o BatchMode=yes -o ConnectTimeout=10",
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "remote.checked.url",
  GIT_CONFIG_VALUE_0: app.repository,
});

const git = (args: string[], env: NodeJS.ProcessEnv): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile("git", args, { env, cwd: "/", timeout: 20_000 }, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else if (error.killed) reject(new Error("the git server did not answer in 20 s"));
      else reject(stderr.trim() === "" ? error : new Error(stderr));
    });
  });

async function access(app: AppConfig, env: NodeJS.ProcessEnv): Promise<Finding> {
  const on = about(app.name);
  const where = plain(app.repository);
  try {
    const answer = await git(["ls-remote", "checked", `refs/heads/${app.branch}`], environment(app, env));
    if (answer.trim() !== "") return on.ok(`git reaches ${where}, branch ${app.branch}`);
    return on.fault(
      `${where} has no branch ${app.branch}`,
      "Set the app's `branch` to the one that is to be deployed.",
    );
  } catch (error) {
    const verdict = judge(error, app.repository);
    if (verdict.kind === "fault") return on.fault(verdict.fault.message, verdict.fault.hint);
    return on.fault(
      `git does not reach ${where}: ${verdict.words}`,
      "Try `git ls-remote` of that address as this user.",
    );
  }
}

export const checkGit: Check = async ({ config, env }) => {
  try {
    await git(["--version"], { PATH: env.PATH });
  } catch {
    return [about("git").fault("git is not installed, or not in PATH", "Install it: apt install git")];
  }
  return Promise.all(Object.values(config.apps).map((app) => access(app, env)));
};

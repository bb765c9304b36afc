import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { createPm2 } from "../../adapters/pm2/pm2.js";

/** What `init` has to know, and finds out or asks. */
export interface Wishes {
  app?: string;
  repository?: string;
  branch?: string;
  root?: string;
  /** The app's own ecosystem file, relative to the repository. */
  ecosystem?: string;
  script?: string;
  instances?: string;
  port?: string;
  health?: string;
  publicUrl?: string;
}

const git = (args: string[], cwd: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    execFile("git", args, { cwd, timeout: 5000 }, (error, stdout) =>
      resolve(error ? undefined : stdout.trim() || undefined),
    );
  });

const manifest = (folder: string): { name?: string; main?: string; scripts?: Record<string, string> } => {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  } catch {
    return {};
  }
};

/** What `npm start` has Node run tells more than `main`, which often points to the sources. */
const started = (folder: string): string | undefined => {
  const { main, scripts } = manifest(folder);
  const [, script] =
    /^(?:\w+=\S+ +)*node(?: +-\S+)* +(?:\.\/)?([^\s-]\S*\.[cm]?js)\b/.exec(scripts?.start ?? "") ?? [];
  return script ?? main;
};

/** `git@github.com:acme/api.git` → `api`, with nothing that a name may not have. */
export const nameOf = (repository: string): string =>
  (
    repository
      .replace(/\/+$/, "")
      .replace(/\.git$/, "")
      .split(/[/:]/)
      .at(-1) ?? ""
  )
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 64) || "app";

const writable = (folder: string): boolean => {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
};

/** How the app runs now, when PM2 has it under that name: the best guess at how it is to run. */
async function running(pm2Home: string, name: string | undefined): Promise<Wishes> {
  if (!existsSync(pm2Home)) return {};
  const pm2 = createPm2({ pm2Home, deadlineMs: 5000 });
  try {
    const all = (await pm2.list()).filter((one) => !one.raw.pmx_module);
    const names = new Set(all.map((one) => one.name));
    const wanted = name ?? (names.size === 1 ? [...names][0] : undefined);
    const mine = all.filter((one) => one.name === wanted);
    const [first] = mine;
    if (!first) return {};
    const port = (first.raw.env as Record<string, unknown> | undefined)?.PORT ?? first.raw.PORT;
    return {
      app: first.name,
      script: first.script,
      instances: String(Math.max(2, mine.length)),
      port: /^\d+$/.test(String(port)) ? String(port) : undefined,
    };
  } catch {
    return {};
  } finally {
    await pm2.close();
  }
}

/** Everything that can be found out without asking; what was said wins. */
export async function guess(
  said: Wishes,
  { cwd, env, pm2Home }: { cwd: string; env: NodeJS.ProcessEnv; pm2Home: string },
): Promise<Wishes> {
  const found = await running(pm2Home, said.app);
  // PM2's own word on the folder is where somebody once stood when starting it; the script knows better.
  const folder = found.script && existsSync(found.script) ? dirname(found.script) : cwd;
  const top = await git(["rev-parse", "--show-toplevel"], folder);
  const source = top ?? folder;
  const repository = said.repository ?? (top && (await git(["remote", "get-url", "origin"], source)));
  const branch = said.branch ?? (top && (await git(["symbolic-ref", "--short", "-q", "HEAD"], source)));
  const ecosystem = [
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.config.json",
  ].find((name) => existsSync(join(source, name)));
  const app = said.app ?? found.app ?? (repository && nameOf(repository));
  const home = writable("/srv") ? "/srv" : join(env.HOME ?? cwd, "apps");
  return {
    ...found,
    app,
    repository,
    branch: branch ?? "main",
    ecosystem: said.script ? undefined : ecosystem,
    script: found.script ? relative(source, found.script) : (started(source) ?? "server.js"),
    instances: found.instances ?? "2",
    root: app && join(home, app),
    ...Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)),
  };
}

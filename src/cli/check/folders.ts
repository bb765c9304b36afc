import { accessSync, constants, existsSync, lstatSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AppConfig } from "../../config/schema.js";
import { about, type Check, type CheckContext, type Finding } from "./finding.js";

/** The nearest folder above (or at) the path that exists: where it would be made. */
export const nearest = (path: string): string => (existsSync(path) ? path : nearest(dirname(path)));

const can = (path: string, mode: number): boolean => {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
};

function folder(subject: string, name: string, path: string, { uid }: CheckContext): Finding[] {
  const on = about(subject);
  const there = nearest(path);
  if (!can(there, constants.W_OK | constants.X_OK))
    return [
      on.fault(
        there === path
          ? `${name} ${path} cannot be written`
          : `${name} ${path} is not there and cannot be made`,
        `As root: install -d -o USER -g USER ${path} (USER is who runs dropless), or run the check as that user.`,
      ),
    ];
  const stat = statSync(there);
  if (there === path && stat.uid !== uid)
    return [
      on.warning(
        `${name} ${path} belongs to another user (${stat.uid}) than the one who checks (${uid})`,
        "Run dropless and its commands as one user: sudo -u USER dropless check.",
      ),
    ];
  if (there === path && (stat.mode & 0o002) !== 0)
    return [on.fault(`${name} ${path} can be written by everyone`, `chmod o-w ${path}`)];
  return [on.ok(there === path ? `${name} ${path}` : `${name} ${path} will be made`)];
}

function appFolders(app: AppConfig): Finding[] {
  const on = about(app.name);
  const findings: Finding[] = [];
  const current = join(app.root, "current");
  const stat = lstatSync(current, { throwIfNoEntry: false });
  if (stat && !stat.isSymbolicLink())
    findings.push(
      on.fault(
        `${current} is not a link, and dropless will put a link there`,
        `Move it away: mv ${current} ${current}.old`,
      ),
    );
  if (existsSync(join(app.root, ".git")))
    findings.push(
      on.note(
        `${app.root} is a git checkout itself`,
        "That works: releases go beside it, into releases/. Once the first deploy is live, the checkout is not used any more.",
      ),
    );
  for (const shared of app.shared) {
    if (existsSync(join(app.root, "shared", shared))) continue;
    findings.push(
      on.warning(
        `shared ${shared} is not in ${join(app.root, "shared")}`,
        shared.endsWith("/")
          ? `Make it, if it has contents: mkdir -p ${join(app.root, "shared", shared)}`
          : `Put it there: cp ${shared} ${join(app.root, "shared", shared)}`,
      ),
    );
  }
  if (app.envFile && !can(app.envFile, constants.R_OK))
    findings.push(
      on.fault(
        `the envFile ${app.envFile} cannot be read`,
        "Every deploy would fail: make it readable for this user.",
      ),
    );
  return findings;
}

export const checkFolders: Check = (context) => [
  ...folder("dropless", "the data folder", context.config.dataDir, context),
  ...Object.values(context.config.apps).flatMap((app) => [
    ...folder(app.name, "the root", app.root, context),
    ...appFolders(app),
  ]),
];

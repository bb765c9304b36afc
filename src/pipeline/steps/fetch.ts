import { isByPerson } from "../../domain/deploy.js";
import { chosen, whyNot } from "../../domain/order.js";
import { type Context, io, type Step, type StepResult } from "../context.js";
import { isWatched } from "../watch-list.js";

/** Webhooks name a commit, and stand for others; a person names a ref, and means that one. */
async function choose({ git, recorder }: Context): Promise<string> {
  const { deploy } = recorder;
  const own = deploy.commit.sha || (await git.resolve(deploy.ref));
  if (isByPerson(deploy.trigger)) {
    await git.onBranch([own]);
    return own;
  }
  const candidates = [...new Set([own, ...deploy.standsFor.filter((sha) => sha !== "")])];
  const there = await git.onBranch(candidates);
  return chosen(own, there, await git.newest(there));
}

async function standing({ app, git, recorder }: Context, sha: string) {
  const { live, left } = recorder.app();
  const { trigger, repeats } = recorder.deploy;
  const files = live && app.watch ? await git.changedFiles(live.sha, sha) : undefined;
  return {
    byPerson: isByPerson(trigger),
    sha,
    head: await git.head(),
    live: live && { sha: live.sha, contains: await git.contains(live.sha, sha) },
    left: left && { ...left, contains: await git.contains(left.sha, sha) },
    repeats,
    touches: files === undefined || isWatched(app.watch, files),
  };
}

async function run(context: Context): Promise<StepResult> {
  const { app, git, recorder, releases, log } = context;
  // What a crash left half done is not built upon: another release is made.
  if (recorder.deploy.release) await releases.discard(recorder.deploy.release);
  log.say(`Fetching ${app.branch}`);
  await git.fetch(io(context));
  const sha = await choose(context);
  const commit = await git.commit(sha);
  recorder.commit(commit);
  log.say(`Commit ${sha.slice(0, 7)} by ${commit.author}: ${commit.message.split("\n", 1)[0]}`);
  const reason = whyNot(await standing(context, sha));
  if (reason) return { skip: { ...reason, step: "fetch" } };
  const release = releases.create(sha, (name) => recorder.release(name));
  await git.checkout(sha, release.path, io(context));
  releases.furnish(release, log);
  log.say(`Release ${release.name}`);
  return undefined;
}

export const fetchStep: Step = { name: "fetch", run };

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
  const contains = (outer?: { sha: string }) => outer !== undefined && git.contains(outer.sha, sha);
  const [files, head, inLive, inLeft] = await Promise.all([
    live && app.watch ? git.changedFiles(live.sha, sha) : undefined,
    git.head(),
    contains(live),
    contains(left),
  ]);
  return {
    byPerson: isByPerson(trigger),
    sha,
    head,
    live: live && { sha: live.sha, contains: inLive },
    left: left && { ...left, contains: inLeft },
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
  const [commit, facts] = await Promise.all([git.commit(sha), standing(context, sha)]);
  recorder.commit(commit);
  log.say(`Commit ${sha.slice(0, 7)} by ${commit.author}: ${commit.message.split("\n", 1)[0]}`);
  const reason = whyNot(facts);
  if (reason) return { skip: { ...reason, step: "fetch" } };
  const release = releases.create(sha, (name) => recorder.release(name));
  await git.checkout(sha, release.path, io(context));
  releases.furnish(release, log);
  log.say(`Release ${release.name}`);
  return undefined;
}

export const fetchStep: Step = { name: "fetch", run };

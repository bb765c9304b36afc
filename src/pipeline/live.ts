import type { AppState, LiveRelease } from "../domain/request.js";
import type { Context } from "./context.js";

type Left = NonNullable<AppState["left"]>;

/** A rollback works without the origin; then the mirror may not know the commits. */
const contains = (context: Context, outer: string, inner: string): Promise<boolean> =>
  context.git.contains(outer, inner).catch(() => false);

/**
 * What was left by a rollback: the newest of it counts. After two steps back it is still the first that was left
 * which must not come again by a late delivery.
 */
export async function leaving(context: Context, now: Left): Promise<Left> {
  const before = context.recorder.app().left;
  if (!before || before.sha === now.sha) return now;
  return (await contains(context, before.sha, now.sha)) ? before : now;
}

/** What stays left when `sha` goes live: nothing, unless a person put something older than it live. */
export async function stillLeft(context: Context, sha: string): Promise<Left | undefined> {
  const { left } = context.recorder.app();
  if (!left || left.sha === sha) return undefined;
  return (await contains(context, left.sha, sha)) ? left : undefined;
}

/** A release as the live one, by what is known of it. */
export function liveOf(context: Context, release: string): LiveRelease {
  const { recorder, releases, succeeded, now } = context;
  const { live } = recorder.app();
  if (live?.release === release) return live;
  const deploy = succeeded().find((one) => "release" in one && one.release === release);
  return {
    release,
    sha: releases.built(release)?.sha ?? deploy?.commit.sha ?? "",
    deploy: deploy?.id ?? recorder.deploy.id,
    since: now().toISOString(),
  };
}

/**
 * Which commit a deploy is for, and whether it is still wanted (docs/http.md). Deliveries arrive late, twice
 * and in any order; what is live never goes backwards because of one.
 */

/** What is known of a commit when it is decided whether to deploy it. */
export interface Standing {
  /** A person's deploy always runs: the environment may have changed. */
  byPerson: boolean;
  sha: string;
  /** The configured branch's head at the origin. */
  head: string;
  /** The live release, and whether `sha` is contained in it. */
  live?: { sha: string; contains: boolean };
  /** The release that the last rollback left, and whether `sha` is contained in it. */
  left?: { sha: string; deploy: string; automatic: boolean; contains: boolean };
  /** The deploy that this one repeats, when a failed delivery was sent again. */
  repeats?: string;
  /** Whether something under `watch` differs from the live release; true where that is not known. */
  touches: boolean;
}

export interface Reason {
  code: "already_live" | "contained_in_live" | "contained_in_left" | "nothing_watched_changed";
  message: string;
  hint: string;
}

const short = (sha: string): string => sha.slice(0, 7);

/** Why the commit is not deployed; undefined when it is. */
export function whyNot(standing: Standing): Reason | undefined {
  const { sha, head, live, left } = standing;
  if (standing.byPerson) return undefined;
  if (live?.sha === sha) {
    return {
      code: "already_live",
      message: `Commit ${short(sha)} is already live`,
      hint: "To deploy it again, because the environment has changed for example, use `dropless deploy`.",
    };
  }
  const again = left?.automatic === true && standing.repeats === left.deploy;
  if (left?.contains && !again) {
    return {
      code: "contained_in_left",
      message: `Commit ${short(sha)} is contained in ${short(left.sha)}, which was rolled back`,
      hint: "Push a fix on top of it; or, if it is to be live nevertheless, use `dropless deploy`.",
    };
  }
  // A branch that was reset on purpose has the older commit as its head: that one is wanted.
  if (live?.contains && sha !== head) {
    return {
      code: "contained_in_live",
      message: `Commit ${short(sha)} is contained in the live ${short(live.sha)}: this delivery was late or a replay`,
      hint: "Nothing is to be done; going back on purpose is `dropless rollback`.",
    };
  }
  if (live && !standing.touches) {
    return {
      code: "nothing_watched_changed",
      message: `Nothing under the app's \`watch\` differs between ${short(sha)} and the live ${short(live.sha)}`,
      hint: "Nothing is to be done; `dropless deploy` deploys it nevertheless.",
    };
  }
  return undefined;
}

/**
 * The commit a waiting deploy is for: the one that contains the others it stands for, so that the order of
 * arrival does not matter. Where none does (the branch was forced in between), its own.
 */
export const chosen = (own: string, standsFor: string[], newest: string | undefined): string =>
  newest ?? (standsFor.includes(own) ? own : (standsFor[0] ?? own));

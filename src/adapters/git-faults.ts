import { Fault } from "../domain/fault.js";

/** Without credentials, and without what would move a terminal's cursor. */
export const plain = (text: string): string =>
  text.replace(/\/\/[^/@\s]+@/g, "//").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, " ");

/** As many characters of the beginning and of the end are looked at: a server may say more than anybody can search. */
const most = 8_192;

/** What was thrown, in git's words. */
function said(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.length <= 2 * most ? text : `${text.slice(0, most)}\n${text.slice(-most)}`;
}

/** The line that says most: git's and the server's own errors before anything else. */
export function lastWords(error: unknown): string {
  const text = plain(said(error));
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^(?:Please make sure|and the repository exists)/.test(line));
  const says = (pattern: RegExp) => lines.find((line) => pattern.test(line));
  const line =
    says(/^(?:remote: )?ERROR:|Permission denied|Host key verification|^ssh: |dubious ownership/i) ??
    says(/^(?:fatal|error):/) ??
    lines.at(-1) ??
    "git said nothing";
  return line.replace(/^(?:fatal|error|remote): /g, "").slice(0, 300);
}

const auth =
  /Authentication failed|could not read (?:Username|Password)|Permission denied|terminal prompts disabled|Access denied|returned error: 40[13]|Host key verification failed|Repository not found|dubious ownership|invalid credentials/i;
const absent =
  /does not appear to be a git repository|repository '.*' (?:does not exist|not found)|returned error: 404|not a valid (?:URL|repository)|is this a git repository\?|invalid server response|transport '.*' not allowed|unable to find remote helper|unsupported URL protocol|remote helper .* aborted session/i;
const corrupt =
  /not a git repository: '|object file .* is empty|(?:loose object|packfile|pack) .* (?:is )?corrupt|bad object |missing (?:blob|tree|commit)|unable to read tree|could not parse object|cannot lock ref .*unable to resolve|invalid sha1 pointer|bad config line/i;

export type Verdict = { kind: "corrupt" | "passing"; words: string } | { kind: "fault"; fault: Fault };

/** What to make of a fetch that failed: tell the operator, make the mirror anew, or try again. */
export function judge(error: unknown, repository: string): Verdict {
  const text = said(error);
  const words = lastWords(error);
  const where = plain(repository);
  const fault = (code: string, message: string, hint: string): Verdict => ({
    kind: "fault",
    fault: new Fault(code, message, hint),
  });
  if (/No space left on device|Disk quota exceeded/i.test(text)) {
    return fault(
      "disk_full",
      `The disk was full while fetching ${where}`,
      "Make room on the disk that holds the app's root, then deploy again.",
    );
  }
  if (
    /Read-only file system|(?:cannot|could not|unable to) (?:create|mkdir|open).*Permission denied/i.test(
      text,
    )
  ) {
    return fault(
      "root_not_writable",
      `The mirror of ${where} cannot be written: ${words}`,
      "Give the user that dropless runs as write access to the app's root.",
    );
  }
  if (auth.test(text)) {
    return fault(
      "git_auth",
      `The git server refused access to ${where}: ${words}`,
      "As the user that dropless runs as, `git ls-remote` of that address must work without asking anything: check the deploy key, the token and known_hosts.",
    );
  }
  if (absent.test(text)) {
    return fault(
      "git_unreachable",
      `There is no repository at ${where}: ${words}`,
      "Check the app's `repository`; `git ls-remote` of that address must work for the user that dropless runs as.",
    );
  }
  return { kind: corrupt.test(text) ? "corrupt" : "passing", words };
}

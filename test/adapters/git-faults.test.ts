import { expect, test } from "vitest";
import { judge } from "../../src/adapters/git-faults.js";

const url = "https://bot:s3cr3t@github.com/acme/api.git";

test.each([
  [
    "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
    "git_auth",
    /Permission denied \(publickey\)/,
  ],
  ["Host key verification failed.\nfatal: Could not read from remote repository.", "git_auth", /Host key/],
  [
    "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
    "git_auth",
    /Repository not found/,
  ],
  [
    "remote: Repository not found.\nfatal: repository 'https://github.com/acme/api.git/' not found",
    "git_auth",
    /not found/,
  ],
  [
    "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
    "git_auth",
    /Username/,
  ],
  [
    "remote: Invalid credentials\nfatal: Authentication failed for 'https://bot:s3cr3t@github.com/acme/api.git/'",
    "git_auth",
    /Authentication failed/,
  ],
  ["fatal: detected dubious ownership in repository at '/srv/git/api.git'", "git_auth", /dubious ownership/],
  ["fatal: '/srv/api.git' does not appear to be a git repository", "git_unreachable", /does not appear/],
  [
    "fatal: https://github.com/acme/info/refs not valid: is this a git repository?",
    "git_unreachable",
    /no repository at .*github/,
  ],
  ["fatal: write error: No space left on device\nfatal: index-pack failed", "disk_full", /disk was full/],
  ["error: cannot open 'FETCH_HEAD': Read-only file system", "root_not_writable", /cannot be written/],
])("%j is told at once", (text, code, words) => {
  const verdict = judge(new Error(text), url);
  expect(verdict).toMatchObject({ kind: "fault", fault: { code, message: expect.stringMatching(words) } });
  expect(JSON.stringify([verdict, verdict.kind === "fault" && verdict.fault.message])).not.toContain(
    "s3cr3t",
  );
});

test.each([
  "ssh: connect to host github.com port 22: Connection refused\nfatal: Could not read from remote repository.",
  "ssh: Could not resolve hostname github.com: Temporary failure in name resolution",
  "fatal: unable to access 'https://github.com/acme/api.git/': The requested URL returned error: 502",
  "fatal: unable to access 'https://github.com/acme/api.git/': Could not resolve host: github.com",
  "fatal: the remote end hung up unexpectedly\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
  "kex_exchange_identification: Connection closed by remote host",
  "block timeout reached",
])("%j may pass, and is tried again", (text) => {
  expect(judge(new Error(text), url).kind).toBe("passing");
});

test.each([
  "fatal: not a git repository: '/srv/api/repo'",
  "error: object file ./objects/ab/cdef is empty\nfatal: loose object abcdef (stored in ./objects/ab/cdef) is corrupt",
  "error: refs/heads/main: invalid sha1 pointer 0000000000000000000000000000000000000000",
])("%j wants a new mirror", (text) => {
  expect(judge(new Error(text), url).kind).toBe("corrupt");
});

test("what a server says without end is searched in a moment, and its end still counts", () => {
  const words = "repository ' object file transport ' ".repeat(300_000);
  const start = performance.now();
  expect(judge(new Error(`${words}\nfatal: Authentication failed for '${url}'`), url)).toMatchObject({
    fault: { code: "git_auth" },
  });
  expect(performance.now() - start).toBeLessThan(5_000);
});

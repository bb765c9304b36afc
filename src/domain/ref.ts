/**
 * Names and hashes from payloads, configurations and people end up in git's arguments, in logs and on pages:
 * only what git itself would accept passes, and nothing that could be taken for an option.
 */

/** A whole object id: 40 hex digits, or 64 in a SHA-256 repository. */
export const isSha = (text: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);

/** Rules of `git check-ref-format`, and no leading dash. At most 300 characters. */
export const isRefName = (text: string): boolean =>
  text.length > 0 &&
  text.length <= 300 &&
  !/[\s\u0000-\u0020\u007f-\u009f~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(?:\/|$)/.test(text) &&
  !/^[-/.]|[/.]$/.test(text) &&
  text !== "@";

export const isBranchName = (text: string): boolean => isRefName(text) && text !== "HEAD";

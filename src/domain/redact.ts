/** What stands in a text where a secret was. */
const mark = "***";
/** Shorter ones are left alone: taking every `test` or `1234` out would wreck a log and guard nothing. */
const shortest = 6;
/** A userinfo longer than this is none. */
const longestUserinfo = 8192;

const urlCredentials = /([a-z][a-z0-9+.-]{0,30}:\/\/)([^\s/?#"'<>]*)@/gi;
/** The end of a text that may become a URL with credentials when more of it comes. */
const urlBegun = new RegExp(
  `[a-z][a-z0-9+.-]{0,30}(?::(?:/(?:/[^\\s/?#"'<>]{0,${longestUserinfo}})?)?)?$`,
  "i",
);
const lookBack = longestUserinfo + 40;

export interface Redactor {
  /** A text that is whole. */
  text(text: string): string;
  /** For a text that comes in pieces: holds back the end of a piece while it may be the beginning of a secret. */
  stream(): { write(piece: string): string; end(): string };
  /** From now on these are taken out as well; nothing is ever forgotten. */
  learn(secrets: string[]): void;
}

/**
 * Takes secrets out of texts: each as it is, as JSON, URL, hex and base64 write it (base64 also in the middle of
 * something longer, as in `user:secret`), each line of one that has several; and whatever stands before the `@`
 * of a URL. Secrets shorter than six characters are left alone.
 */
export function createRedactor(secrets: string[]): Redactor {
  const known = new Set<string>();
  let pattern: RegExp | undefined;
  let byFirst = new Map<string, string[]>();
  let longest = 0;

  function learn(more: string[]): void {
    const before = known.size;
    for (const secret of more) for (const form of forms(secret)) known.add(form);
    if (known.size === before) return;
    const needles = [...known].sort((a, b) => b.length - a.length);
    pattern = new RegExp(needles.map(literal).join("|"), "g");
    byFirst = groupByFirst(needles);
    longest = needles[0]?.length ?? 0;
  }
  learn(secrets);

  const text = (whole: string): string => redactUrls(pattern ? whole.replace(pattern, mark) : whole);

  /** Where the end of `whole` begins that could still become a secret. `found`: it holds one that is whole. */
  function cutOf(whole: string, found: boolean): number {
    let cut = whole.length;
    // No URL goes on behind a line end, and looking for one's beginning is dear.
    const tail = whole.slice(Math.max(whole.length - lookBack, whole.lastIndexOf("\n") + 1));
    const url = urlBegun.exec(tail);
    if (url) cut = whole.length - tail.length + url.index;
    for (let at = Math.max(0, whole.length - longest + 1); at < cut; at++) {
      const rest = whole.length - at;
      const begun = byFirst
        .get(whole.charAt(at))
        ?.some((needle) => needle.length > rest && needle.startsWith(whole.slice(at)));
      if (begun) cut = at;
    }
    // Never through the middle of a secret that is whole already.
    if (found && pattern && cut < whole.length)
      for (const match of whole.matchAll(pattern)) {
        const end = match.index + match[0].length;
        if (match.index < cut && cut < end) cut = end;
      }
    return cut;
  }

  return {
    text,
    learn,
    stream() {
      let held = "";
      return {
        write(piece) {
          const whole = held + piece;
          // Where none is, which is nearly everywhere, one look has to do: floods come through here.
          const found = pattern !== undefined && whole.search(pattern) >= 0;
          const cut = cutOf(whole, found);
          held = whole.slice(cut);
          return found ? text(whole.slice(0, cut)) : redactUrls(whole.slice(0, cut));
        },
        end() {
          const rest = held;
          held = "";
          return text(rest);
        },
      };
    },
  };
}

/** Looking for a userinfo in a text without one is most of what an answer's redaction would cost. */
const mayHaveCredentials = (text: string): boolean => {
  const url = text.indexOf("://");
  return url >= 0 && text.includes("@", url);
};

const redactUrls = (text: string): string =>
  mayHaveCredentials(text) ? text.replace(urlCredentials, withoutCredentials) : text;

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

/** `git@` is everybody's, and says how to reach the host. */
const withoutCredentials = (whole: string, scheme: string, userinfo: string): string =>
  userinfo === "git" || userinfo === "" ? whole : `${scheme}${mark}@`;

function forms(secret: string): string[] {
  const lines = secret.split(/\r?\n/).filter((line) => line !== secret);
  const url = encodeURIComponent(secret);
  return [
    secret,
    ...lines,
    JSON.stringify(secret).slice(1, -1),
    url,
    url.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    url.replaceAll("%20", "+"),
    ...base64Forms(secret),
    Buffer.from(secret).toString("hex"),
    Buffer.from(secret).toString("hex").toUpperCase(),
  ].filter((form) => form.trim().length >= shortest);
}

/** Base64 of a secret depends on where it stands in what is encoded; what does not depend on its neighbours. */
const base64Forms = (secret: string): string[] =>
  [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]);
    const own = [Math.ceil((before * 8) / 6), Math.floor((bytes.length * 8) / 6)] as const;
    return [bytes.toString("base64").slice(...own), bytes.toString("base64url").slice(...own)];
  });

function groupByFirst(needles: string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const needle of needles)
    groups.set(needle.charAt(0), [...(groups.get(needle.charAt(0)) ?? []), needle]);
  return groups;
}

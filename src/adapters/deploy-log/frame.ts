import { isAscii } from "node:buffer";
import type { Redactor } from "../../domain/redact.js";

/** Characters of a line; a longer one is cut into pieces of this length. */
export const longestLine = 16_384;
/** How often a line that keeps overwriting itself (a progress bar) is written down, milliseconds. */
const progressEvery = 1000;

const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
const sequence =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|[ -/]*[0-Z\\-~])/g;
const colour = /^\u001b\[[\d;:]*m$/;
const colours = /\u001b\[[\d;:]*m/g;

/**
 * Colours stay. Everything else that steers a terminal goes: a reader's terminal is not the build's, and moving
 * the cursor or setting a title means nothing in a log.
 */
export function clean(line: string): string {
  if (!control.test(line)) return line;
  return line
    .replace(sequence, (found) => (colour.test(found) ? found : ""))
    .replace(/[\u0007\u0008]/g, "")
    .replace(/\u001b(?!\[[\d;:]*m)|[\u0000-\u001a\u001c-\u001f\u007f-\u009f]/g, (found) =>
      found === "\t" ? found : "\ufffd",
    );
}

/** Pieces of at most `longestLine`, never through the middle of a character. */
export function* pieces(line: string): Generator<string> {
  let from = 0;
  while (line.length - from > longestLine) {
    const code = line.charCodeAt(from + longestLine - 1);
    const to = from + longestLine - (code >= 0xd800 && code <= 0xdbff ? 1 : 0);
    yield line.slice(from, to);
    from = to;
  }
  yield from === 0 ? line : line.slice(from);
}

/** What a terminal shows of a line in which `\r` goes back to the beginning; one at the end may be half of `\r\n`. */
function latest(line: string): { from: number; text: string } {
  let end = line.length;
  while (end > 0 && line.charAt(end - 1) === "\r") end--;
  const from = end === 0 ? 0 : line.lastIndexOf("\r", end - 1) + 1;
  return { from, text: line.slice(from, end) };
}

/** Is there a line in `text` that has to be cut? Most of `text` need not be looked at for that. */
function hasLong(text: string): boolean {
  for (let from = 0; text.length - from > longestLine; ) {
    const end = text.lastIndexOf("\n", from + longestLine);
    if (end < from) return true;
    from = end + 1;
  }
  return false;
}

/**
 * Lines out of one stream of a command: bytes that are no UTF-8 become U+FFFD, secrets are taken out before
 * anything is cut, `\r` overwrites as on a terminal, and nothing longer than a line is ever held. `emit` gets what
 * came together together; no line holds a control character other than tabs and those of colours.
 */
export function createFramer(redactor: Redactor, now: () => number, emit: (lines: string[]) => void) {
  const redacted = redactor.stream();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let partial = "";
  let progressAt = now();

  /** The last bytes may have been the beginning of a character. */
  let begun = false;

  function decode(chunk: Uint8Array): string {
    // Most of what a build prints, and ten times as fast.
    if (!begun && isAscii(chunk))
      return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1");
    begun = (chunk.at(-1) ?? 0x80) >= 0x80;
    return decoder.decode(chunk, { stream: true });
  }

  /** Most of what a build prints is plain: one look at all of it, instead of several at each line. */
  function whole(text: string): void {
    const lines = text.split("\n");
    emit(control.test(text) || hasLong(text) ? lines.flatMap((line) => [...pieces(safe(line))]) : lines);
  }

  /** Taking control characters out may join the halves of a secret; a colour in its midst does not hide it. */
  function safe(printed: string): string {
    const line = printed.includes("\r") ? latest(printed).text : printed;
    const plain = clean(line);
    if (plain === line && !line.includes("\u001b")) return line;
    const bare = plain.replace(colours, "");
    const kept = redactor.text(bare);
    return kept === bare ? plain : kept;
  }

  /** Of a progress bar only the latest state counts; now and then it is shown. */
  function overwrite(): void {
    if (!partial.includes("\r")) return;
    const { from } = latest(partial);
    if (from === 0) return;
    if (latest(partial.slice(0, from)).text !== "" && Math.abs(now() - progressAt) >= progressEvery) {
      progressAt = now();
      whole(partial.slice(0, from));
    }
    partial = partial.slice(from);
  }

  function feed(text: string): void {
    const rest = partial + text;
    const end = rest.lastIndexOf("\n");
    if (end >= 0) whole(rest.slice(0, end));
    partial = rest.slice(end + 1);
    overwrite();
    if (partial.length <= longestLine) return;
    const cut = [...pieces(partial)];
    partial = cut.pop() ?? "";
    for (const piece of cut) whole(piece);
  }

  return {
    write(chunk: string | Uint8Array): void {
      feed(redacted.write(typeof chunk === "string" ? chunk : decode(chunk)));
    },
    /** What has come without a line end is a line too. */
    flush(): void {
      feed(redacted.write(decoder.decode()));
      begun = false;
      feed(redacted.end());
      if (partial === "") return;
      const line = partial;
      partial = "";
      whole(line);
    },
  };
}

const sequence = new RegExp(
  [
    "\\x1b[\\]PX^_][^\\x07\\x1b\\x9c]*(?:\\x07|\\x1b\\\\|\\x9c|$)", // titles, links, device strings
    "\\x1b\\[[0-?]*[ -/]*[@-~]", // cursor, screen, colours
    "\\x1b[ -/]*[0-~]", // charsets, resets
  ].join("|"),
  "g",
);
const colour = /^\x1b\[[\d;:]*m$/;
const notColour = /\x1b(?!\[[\d;:]*m)/g;
// C0 without tab and escape, DEL, C1, and the marks that turn the reading direction around.
const controls = /[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A line as it may be shown: it comes from a build, an app or a commit's author, so whatever could move the
 * cursor, rename the window or forge a line of ours is taken out. Colours stay, and end with the line.
 */
export function safeLine(text: string): string {
  // A progress bar redraws its line; what stood there last is what a terminal would have shown.
  const shown = text.replace(/\r+$/, "");
  const last = shown.slice(shown.lastIndexOf("\r") + 1);
  const clean = last
    .replace(sequence, (found) => (colour.test(found) ? found : ""))
    // Taking one out may have joined two halves of another.
    .replace(notColour, "")
    .replace(controls, "");
  return clean.includes("\x1b") ? `${clean}\x1b[0m` : clean;
}

export const withoutColour = (text: string): string => text.replace(/\x1b\[[\d;:]*m/g, "");

/** First line only, at most `length` characters: for commit messages in a row of other things. */
export function oneLine(text: string, length = 72): string {
  const line = withoutColour(safeLine(text.trimStart().split("\n", 1)[0] ?? ""));
  const characters = [...line];
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : line;
}

/** Cut to `width` columns; colours take none. */
export function cut(text: string, width: number): string {
  if (withoutColour(text).length <= width) return text;
  let room = Math.max(0, width - 1);
  let kept = "";
  for (const part of text.split(/(\x1b\[[\d;:]*m)/)) {
    if (part.startsWith("\x1b")) kept += part;
    else {
      kept += part.slice(0, room);
      room -= Math.min(room, part.length);
    }
  }
  return `${kept}…`;
}

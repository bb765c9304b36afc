/** @typedef {{ id: string, event: string, data: any }} StreamEvent */

/**
 * Messages of a `text/event-stream` out of pieces of text, as dropless writes them: JSON in one `data` line,
 * `\n` as line end. Comments (heartbeats) give nothing; a message without its empty line is kept for later.
 * @returns {(piece: string) => StreamEvent[]}
 */
export function createSseReader() {
  let rest = "";
  return (piece) => {
    rest += piece;
    /** @type {StreamEvent[]} */
    const events = [];
    let from = 0;
    for (;;) {
      const end = rest.indexOf("\n\n", from);
      if (end < 0) break;
      const message = read(rest.slice(from, end));
      if (message) events.push(message);
      from = end + 2;
    }
    rest = rest.slice(from);
    return events;
  };
}

/** @param {string} block @returns {StreamEvent | undefined} */
function read(block) {
  let id = "";
  let event = "message";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("data: ")) data += line.slice(6);
    else if (line.startsWith("id: ")) id = line.slice(4);
    else if (line.startsWith("event: ")) event = line.slice(7);
  }
  if (!data) return undefined;
  try {
    return { id, event, data: JSON.parse(data) };
  } catch {
    return undefined;
  }
}

/** One message of a server-sent event stream. */
export interface SseMessage {
  id?: string;
  event: string;
  data: string;
}

/** More than any event of dropless; a peer that sends more is not one. */
const longest = 4 * 1024 * 1024;

/**
 * Messages out of the bytes of a `text/event-stream`, as they come; comments (heartbeats) are passed over.
 * A message without its empty line at the end is not one: the connection broke in it.
 */
export async function* parseSse(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<SseMessage> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of bytes) {
    rest += decoder.decode(chunk, { stream: true });
    if (rest.length > longest) throw new Error("an event of this stream is too long");
    const blocks = rest.split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const message = parseBlock(block);
      if (message) yield message;
    }
  }
}

function parseBlock(block: string): SseMessage | undefined {
  const data: string[] = [];
  let id: string | undefined;
  let event = "message";
  for (const line of block.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).replace(/^ /, "");
    const field = line.slice(0, colon);
    if (field === "data") data.push(value);
    else if (field === "id") id = value;
    else if (field === "event") event = value;
  }
  return data.length > 0 ? { id, event, data: data.join("\n") } : undefined;
}

/** A message in the form it is sent; `data` is JSON, which has no line ends. */
export const formatSse = (id: string, event: string, data: unknown): string =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

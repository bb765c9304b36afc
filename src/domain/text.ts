/**
 * Somebody else's text (a commit's message, an author's name) as it may be stored and shown: no control
 * characters and so no terminal escapes, no marks that reverse the reading direction, at most `most`
 * characters. Line ends stay.
 */
export function plainText(text: string, most: number): string {
  // As nearly all are.
  if (text.length <= most && /^[\n\x20-\x7e]*$/.test(text)) return text.trim();
  // Through a Buffer, since half a surrogate pair is no text either.
  const plain = Buffer.from(text.slice(0, most * 4))
    .toString()
    .replace(/\r\n?/g, "\n")
    .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, " ")
    .trim();
  const characters = Array.from(plain);
  return characters.length <= most ? plain : `${characters.slice(0, most - 1).join("")}…`;
}

/**
 * The colours of a terminal as plain data. Only SGR sequences (`ESC [ … m`) mean something; every other escape
 * sequence and control character is taken out, so that a log can neither hide nor rewrite a line.
 */

/**
 * A run of text in one look. `color` and `background` are an index of the 16-colour palette or `rgb(…)`.
 * @typedef {{ text: string, color?: number | string, background?: number | string, bold?: boolean, dim?: boolean,
 *   italic?: boolean, underline?: boolean, strike?: boolean, inverse?: boolean, mark?: boolean, current?: boolean }} Run
 */

const sgr = /\x1b\[([0-9;:]*)m/g;
// CSI other than SGR; OSC, DCS and the like up to their end; two-character sequences; a lone ESC; C0, DEL, C1.
const unwanted =
  /\x1b\[[0-9;:]*m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f]/g;
const longest = 20_000;

/**
 * A line fit to be kept: printable text and SGR sequences. What a carriage return had overwritten is gone, as
 * on a terminal; an endless line is cut.
 * @param {string} text
 */
export function clean(text) {
  let line = text;
  if (line.length > longest) {
    line = `${line.slice(0, longest)}\x1b[0m … ${line.length - longest} more characters; the download has them`;
  }
  if (!/[\x00-\x1f\x7f-\x9f]/.test(line)) return line;
  const shown = line.replace(/\r+$/, "");
  return shown
    .slice(shown.lastIndexOf("\r") + 1)
    .replaceAll("\t", "    ")
    .replace(unwanted, (found) => (/^\x1b\[[0-9;:]*m$/.test(found) ? found : ""));
}

/** @param {string} line A clean one. */
export const plain = (line) => (line.includes("\x1b") ? line.replace(sgr, "") : line);

/** @param {string} line A clean one. @returns {Run[]} */
export function parse(line) {
  if (!line.includes("\x1b")) return line ? [{ text: line }] : [];
  /** @type {Run[]} */
  const runs = [];
  /** @type {Omit<Run, "text">} */
  let look = {};
  let from = 0;
  for (const match of line.matchAll(sgr)) {
    if (match.index > from) runs.push({ ...look, text: line.slice(from, match.index) });
    from = match.index + match[0].length;
    look = apply(look, match[1] ?? "");
  }
  if (from < line.length) runs.push({ ...look, text: line.slice(from) });
  return runs;
}

/** @param {Omit<Run, "text">} before @param {string} parameters @returns {Omit<Run, "text">} */
function apply(before, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  let look = { ...before };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? 0;
    if (code === 0) look = {};
    else if (code === 1) look.bold = true;
    else if (code === 2) look.dim = true;
    else if (code === 3) look.italic = true;
    else if (code === 4) look.underline = true;
    else if (code === 7) look.inverse = true;
    else if (code === 9) look.strike = true;
    else if (code === 22) look.bold = look.dim = undefined;
    else if (code === 23) look.italic = undefined;
    else if (code === 24) look.underline = undefined;
    else if (code === 27) look.inverse = undefined;
    else if (code === 29) look.strike = undefined;
    else if (code >= 30 && code <= 37) look.color = code - 30;
    else if (code >= 90 && code <= 97) look.color = code - 82;
    else if (code === 39) look.color = undefined;
    else if (code >= 40 && code <= 47) look.background = code - 40;
    else if (code >= 100 && code <= 107) look.background = code - 92;
    else if (code === 49) look.background = undefined;
    else if (code === 38 || code === 48) {
      const [color, taken] = extended(codes.slice(i + 1));
      if (color !== undefined) look[code === 38 ? "color" : "background"] = color;
      i += taken;
    }
  }
  return look;
}

/** 256 colours (`5;n`) and true colour (`2;r;g;b`). @param {number[]} codes @returns {[number | string | undefined, number]} */
function extended(codes) {
  const [kind, a = 0, b = 0, c = 0] = codes;
  if (kind === 2) return [[a, b, c].every(isByte) ? `rgb(${a}, ${b}, ${c})` : undefined, 4];
  if (kind !== 5) return [undefined, 1];
  if (!isByte(a)) return [undefined, 2];
  if (a < 16) return [a, 2];
  if (a >= 232) {
    const grey = 8 + (a - 232) * 10;
    return [`rgb(${grey}, ${grey}, ${grey})`, 2];
  }
  const level = (/** @type {number} */ n) => (n === 0 ? 0 : 55 + n * 40);
  const cube = a - 16;
  return [`rgb(${level(Math.floor(cube / 36))}, ${level(Math.floor(cube / 6) % 6)}, ${level(cube % 6)})`, 2];
}

/** @param {number} value */
const isByte = (value) => Number.isInteger(value) && value >= 0 && value <= 255;

/**
 * The part of a line from character `from` up to `to`, and what of it is marked.
 * @param {Run[]} runs @param {number} from @param {number} to
 * @param {[number, number][]} [marks] Ranges of the whole line's plain text, in order.
 * @returns {Run[]}
 */
export function cut(runs, from, to, marks = []) {
  const edges = [from, to, ...marks.flat()].sort((a, b) => a - b);
  /** @type {Run[]} */
  const parts = [];
  let at = 0;
  for (const run of runs) {
    const end = at + run.text.length;
    const inside = edges.filter((edge) => edge > at && edge < end && edge > from && edge < to);
    let start = Math.max(at, from);
    for (const stop of [...inside, Math.min(end, to)]) {
      if (stop <= start) continue;
      const begin = start;
      const mark = marks.some(([first, last]) => first <= begin && stop <= last);
      parts.push({ ...run, text: run.text.slice(begin - at, stop - at), ...(mark && { mark }) });
      start = stop;
    }
    at = end;
    if (at >= to) break;
  }
  return parts;
}

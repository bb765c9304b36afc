import { withoutColour } from "./text.js";

/** What the command line needs of a process; tests give their own. */
export interface Io {
  stdout: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  stderr: { write(text: string): unknown; isTTY?: boolean };
  /** Where answers come from; absent or no terminal: nobody is asked. */
  stdin?: NodeJS.ReadableStream & { isTTY?: boolean };
  env: NodeJS.ProcessEnv;
  cwd: string;
}

type Paint = (text: string) => string;

export interface Terminal {
  /** A person watches: things may move. */
  live: boolean;
  columns(): number;
  /** Writes as it is; the live view's way. */
  raw(text: string): void;
  /** One line on standard output. */
  line(text?: string): void;
  /** One line on standard error. */
  error(text: string): void;
  json(value: unknown): void;
  bold: Paint;
  dim: Paint;
  red: Paint;
  green: Paint;
  yellow: Paint;
  cyan: Paint;
}

/** NO_COLOR, FORCE_COLOR and CI as everywhere: https://no-color.org, https://force-color.org. */
const wantsColour = (io: Io, noColour: boolean): boolean => {
  if (noColour || io.env.NO_COLOR) return false;
  if (io.env.FORCE_COLOR) return io.env.FORCE_COLOR !== "0";
  return io.stdout.isTTY === true && io.env.TERM !== "dumb";
};

export function createTerminal(io: Io, options: { noColour?: boolean } = {}): Terminal {
  const colour = wantsColour(io, options.noColour ?? false);
  const paint =
    (code: number): Paint =>
    (text) =>
      colour ? `\x1b[${code}m${text}\x1b[${code === 1 || code === 2 ? 22 : 39}m` : text;
  const shown = (text: string) => (colour ? text : withoutColour(text));
  return {
    live: io.stdout.isTTY === true && io.env.TERM !== "dumb" && !io.env.CI,
    columns: () => io.stdout.columns || 80,
    raw: (text) => void io.stdout.write(shown(text)),
    line: (text = "") => void io.stdout.write(`${shown(text)}\n`),
    error: (text) => void io.stderr.write(`${shown(text)}\n`),
    json: (value) => void io.stdout.write(`${JSON.stringify(value)}\n`),
    bold: paint(1),
    dim: paint(2),
    red: paint(31),
    green: paint(32),
    yellow: paint(33),
    cyan: paint(36),
  };
}

/** What is seen of the demo: a live view at a terminal, lines everywhere else. */

const { stdout, env } = process;
const live = stdout.isTTY === true && env.TERM !== "dumb" && !env.CI;
const coloured = !env.NO_COLOR && (env.FORCE_COLOR ? env.FORCE_COLOR !== "0" : live);
const paint = (code) => (text) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : String(text));
export const colour = {
  bold: paint(1),
  dim: paint(2),
  red: paint(31),
  green: paint(32),
  yellow: paint(33),
  blue: paint(34),
  cyan: paint(36),
};

const versions = ["v1", "v2", "v3"];
const ofVersion = (version) =>
  [colour.blue, colour.green, colour.yellow][versions.indexOf(version)] ?? colour.dim;
const frames = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];
const cellMs = 200;

export const seconds = (ms) => `${(ms / 1000).toFixed(1)}s`;
export const count = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");

export function createScreen() {
  let height = 0;
  let tick = 0;
  let section;
  let cells = [];
  let cell = new Map();
  const steps = new Map();

  const erase = () => (height > 0 ? `\x1b[${height}A\x1b[J` : "");
  const write = (text) => {
    stdout.write(erase() + text);
    height = 0;
  };

  /** What users got, one cell for each fifth of a second: the colour is the version, red a failure. */
  function strip(width) {
    const drawn = cells.slice(-width).map((answers) => {
      if (answers.has(undefined)) return colour.red("█");
      const [newest] = [...answers.keys()].sort().reverse();
      if (newest === undefined) return colour.dim("·");
      return ofVersion(newest)(answers.size > 1 ? "▓" : "█");
    });
    return drawn.join("");
  }

  function stepLine() {
    const shown = [...steps].map(([name, { status, ms }]) => {
      if (status === "running") return `${colour.cyan(frames[tick % frames.length])} ${colour.bold(name)}`;
      if (status === "failed") return colour.red(`✘ ${name}`);
      return `${colour.green("✔")} ${name}${ms === undefined ? "" : colour.dim(` ${seconds(ms)}`)}`;
    });
    return `   ${shown.join("  ")}`;
  }

  function draw() {
    tick++;
    if (!section) return;
    const lines = [stepLine()];
    if (section.counts) {
      const { sent, failed } = section.counts();
      lines.push(`   ${colour.dim("users get")} ${strip(Math.min(60, (stdout.columns || 80) - 20))}`);
      lines.push(
        `   ${colour.dim("requests")}  ${count(sent)}, ${failed === 0 ? colour.green("0 failed") : colour.red(`${count(failed)} failed`)}`,
      );
    } else lines.push(`   ${colour.dim(seconds(Date.now() - section.began))}`);
    stdout.write(`${erase()}${lines.join("\n")}\n`);
    height = lines.length;
  }

  const timers = [
    setInterval(() => {
      if (!section?.counts) return;
      cells.push(cell);
      cell = new Map();
    }, cellMs),
    ...(live ? [setInterval(draw, 80)] : []),
  ];
  if (live) stdout.write("\x1b[?25l");

  return {
    live,
    line: (text = "") => write(`${text}\n`),
    answer: (version) => void cell.set(version, (cell.get(version) ?? 0) + 1),
    /** `counts` gives the load's figures since the section began. */
    begin(title, { note, counts } = {}) {
      steps.clear();
      cells = [];
      section = { began: Date.now(), counts };
      write(`\n${colour.bold(title)}${note ? `  ${colour.dim(note)}` : ""}\n`);
    },
    step(name, status, ms) {
      // What turned out to have nothing to do need not be seen.
      if (status === "skipped") steps.delete(name);
      else steps.set(name, { status, ms });
      if (!live && status !== "running" && status !== "skipped")
        write(`   ${status === "failed" ? "✘" : "✔"} ${name}${ms === undefined ? "" : ` ${seconds(ms)}`}\n`);
    },
    /** Leaves the finished section on the screen, with these lines below it. */
    end(...texts) {
      if (live) {
        draw();
        height = 0;
      } else if (section?.counts) {
        const { sent, failed } = section.counts();
        write(`   requests ${count(sent)}, ${failed} failed\n`);
      }
      section = undefined;
      for (const text of texts) write(`   ${text}\n`);
    },
    close() {
      for (const timer of timers) clearInterval(timer);
      section = undefined;
      if (live) stdout.write("\x1b[?25h");
    },
  };
}

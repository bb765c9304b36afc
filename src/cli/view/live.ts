import { type StepName, stepNames } from "../../domain/step.js";
import type { DeployView } from "../../http/wire.js";
import { stepTime, ticking } from "../format.js";
import type { Terminal } from "../terminal.js";
import { cut, safeLine } from "../text.js";
import { commitOf, outcomeLines } from "./outcome.js";
import type { View } from "./view.js";

const frames = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];
const frameMs = 80;
/** A flood is printed in pieces of this many lines; what no eye can follow is counted instead. */
const linesPerFrame = 200;

/**
 * For a person at a terminal: log lines scroll past as they come, finished steps stay between them with
 * their durations, and the last lines are a footer that says what happens now.
 */
export function createLiveView(t: Terminal, now: () => number = Date.now): View {
  let deploy: DeployView | undefined;
  let beganAt = now();
  let running: { name: StepName; since: number } | undefined;
  let waitsFor: string | undefined;
  let lines: string[] = [];
  let dropped = 0;
  let footer = 0;
  let tick = 0;
  const done = new Map<StepName, string>();

  const clearFooter = () => (footer > 0 ? `\r\x1b[${footer}A\x1b[J` : "");

  const bar = () =>
    stepNames.map((name) => done.get(name) ?? (running?.name === name ? t.cyan("◉") : t.dim("·"))).join("");

  function footerLines(): string[] {
    if (!deploy) return [];
    const spin = t.cyan(frames[tick % frames.length] ?? "");
    const what =
      waitsFor ??
      (running
        ? `${t.bold(running.name)} ${ticking(now() - running.since)}`
        : deploy.status === "queued"
          ? `waiting${deploy.position ? `, number ${deploy.position} in the queue` : ""}`
          : "working");
    const whose = [deploy.app, commitOf(deploy)].filter(Boolean).join(" ");
    return ["", ` ${spin} ${what}   ${bar()}   ${t.dim(`${whose} · ${ticking(now() - beganAt)}`)}`];
  }

  function draw(): void {
    tick++;
    let text = clearFooter();
    if (dropped > 0) text += t.dim(`  │ … ${dropped} lines, see dropless logs ${deploy?.id}\n`);
    text += lines.map((line) => `${line}\n`).join("");
    lines = [];
    dropped = 0;
    const foot = footerLines().map((line) => `${cut(line, t.columns() - 1)}\n`);
    footer = foot.length;
    t.raw(text + foot.join(""));
  }

  function print(line: string): void {
    lines.push(line);
    if (lines.length > linesPerFrame) {
      lines.shift();
      dropped++;
    }
  }

  t.raw("\x1b[?25l");
  const timer = setInterval(draw, frameMs);
  timer.unref();
  let closed = false;

  function close(): void {
    if (closed) return;
    closed = true;
    clearInterval(timer);
    deploy = undefined;
    draw();
    t.raw("\x1b[?25h");
  }

  return {
    begin(next) {
      if (!deploy) beganAt = now();
      deploy = next;
      running = undefined;
      waitsFor = undefined;
      done.clear();
      const commit = commitOf(next);
      print(`${t.bold(next.app)}  ${commit ? `${commit}  ` : ""}${t.dim(next.id)}`);
    },
    event(event) {
      waitsFor = undefined;
      if (event.event === "log") print(`${t.dim("  │")} ${safeLine(event.data.text)}`);
      if (event.event === "status" && deploy) deploy = { ...deploy, status: event.data.status };
      if (event.event === "step") {
        const { name, status, time } = event.data;
        const lasted = t.dim(stepTime(event.data));
        if (status === "running") running = { name, since: Date.parse(time) || now() };
        else if (running?.name === name) running = undefined;
        if (status === "succeeded") print(`${t.green("✔")} ${name.padEnd(10)} ${lasted}`);
        if (status === "failed") print(`${t.red("✘")} ${t.red(name.padEnd(10))} ${lasted}`);
        if (status === "succeeded") done.set(name, t.green("●"));
        if (status === "failed") done.set(name, t.red("●"));
        if (status === "skipped") done.set(name, t.dim("○"));
      }
    },
    update(fresh) {
      deploy = fresh;
    },
    lost() {
      waitsFor = t.yellow("the daemon does not answer; trying again");
    },
    back() {
      waitsFor = undefined;
    },
    note: (text) => print(`  ${text}`),
    end(ended) {
      print("");
      for (const line of outcomeLines(ended, t)) print(line);
      close();
    },
    close,
  };
}

/** The log on the page: only the rows in sight exist, the rest is empty height. */
import { cut, parse } from "./ansi.js";
import { h } from "./dom.js";
import { createLogWindow, createSearch } from "./log-window.js";

/** Rows kept ready above and below what is in sight. */
const margin = 15;

/**
 * `link` gives a line's address. `onState` is told when following begins or pauses and when the log grew.
 * @param {{ link(line: number): string, onState(): void }} options
 */
export function createLogView({ link, onState }) {
  const lines = createLogWindow();
  let search = createSearch("");
  let following = true;
  let wrapping = window.matchMedia("(max-width: 700px)").matches;
  /** The line in the address, and the one the search stands on. */
  let target = 0;
  let current = 0;
  /** The line to bring into sight, for as long as it is not: it may not be there yet, nor the page. */
  let aim = 0;
  let lastTop = 0;
  let planned = false;
  /** @type {Map<number, HTMLElement>} */
  const shown = new Map();

  const rows = h("div", { class: "log-rows" });
  const space = h("div", { class: "log-space" }, rows);
  const probe = h("div", { class: "log-row log-probe", "aria-hidden": "true" }, "0".repeat(100));
  const element = h(
    "div",
    { class: "log", tabindex: 0, role: "region", "aria-label": "Log of the deploy" },
    probe,
    space,
  );
  let rowHeight = 20;
  let charWidth = 7.5;

  let digits = 0;
  const digitsNeeded = () => Math.max(4, String(lines.count + lines.dropped).length);

  const measure = () => {
    const box = probe.getBoundingClientRect();
    if (box.height === 0) return;
    rowHeight = box.height;
    charWidth = box.width / 100;
    digits = digitsNeeded();
    element.style.setProperty("--digits", String(digits));
    // The numbers' column, the gap behind it, and a character to spare.
    const room = element.clientWidth - (digits + 4) * charWidth;
    element.classList.toggle("wraps", wrapping);
    lines.wrapAt(wrapping ? Math.max(20, Math.floor(room / charWidth)) : 0);
  };

  const toTop = (/** @type {number} */ top) => {
    element.scrollTop = top;
    lastTop = element.scrollTop;
  };

  const paint = () => {
    planned = false;
    if (digitsNeeded() !== digits) measure();
    const height = `${lines.rows * rowHeight}px`;
    if (space.style.height !== height) space.style.height = height;
    if (following) toTop(element.scrollHeight);
    else if (aim && lines.count > 0 && element.clientHeight > 0) {
      const top = Math.max(0, lines.rowOf(lines.indexOf(aim)) * rowHeight - element.clientHeight / 3);
      toTop(top);
      if (element.scrollTop >= Math.floor(top) && (lines.at(lines.count - 1)?.number ?? 0) >= aim) aim = 0;
    }
    const first = Math.max(0, Math.floor(element.scrollTop / rowHeight) - margin);
    const seen = lines.view(first, Math.ceil(element.clientHeight / rowHeight) + 2 * margin);
    rows.style.transform = `translateY(${(seen[0]?.row ?? 0) * rowHeight}px)`;
    const wanted = new Set(seen.map(({ row }) => row));
    for (const [row, node] of shown) {
      if (wanted.has(row)) continue;
      node.remove();
      shown.delete(row);
    }
    // What stays in sight is not touched: a selection in it lives on.
    for (const [place, part] of seen.entries()) {
      if (shown.has(part.row)) continue;
      const node = rowOf(part);
      shown.set(part.row, node);
      rows.insertBefore(node, rows.children[place] ?? null);
    }
  };
  const plan = () => {
    if (planned) return;
    planned = true;
    requestAnimationFrame(paint);
  };
  const again = () => {
    shown.clear();
    rows.replaceChildren();
    plan();
  };

  /** @param {{ row: number, index: number, from: number, to: number }} part */
  function rowOf({ index, from, to }) {
    const line = lines.at(index);
    if (!line) return h("div", { class: "log-row" });
    const marks = search.marks(line);
    const classes = [
      "log-row",
      line.stream,
      line.number === target && "target",
      line.number === current && "current",
    ];
    return h(
      "div",
      { class: classes.filter(Boolean).join(" ") },
      // The numbers are for the mouse; by keyboard a line is reached through "Go to line".
      from === 0
        ? h(
            "a",
            { class: "log-number", href: link(line.number), tabindex: -1, "data-line": line.number },
            line.number,
          )
        : h("span", { class: "log-number" }),
      h("span", { class: "log-text" }, cut(parse(line.text), from, to, marks).map(spanOf)),
    );
  }

  const setFollowing = (/** @type {boolean} */ on) => {
    if (following === on) return;
    following = on;
    onState();
  };

  element.addEventListener(
    "scroll",
    () => {
      const top = element.scrollTop;
      // Where this page put it, nobody scrolled.
      if (Math.abs(top - lastTop) > 1) {
        aim = 0;
        // At the end first: a window that grows moves the log up too, and that is no pause.
        if (top + element.clientHeight >= element.scrollHeight - 2) setFollowing(true);
        else if (top < lastTop) setFollowing(false);
        lastTop = top;
      }
      plan();
    },
    { passive: true },
  );
  const resized = new ResizeObserver(() => {
    const index = lines.view(Math.floor(element.scrollTop / rowHeight), 1)[0]?.index ?? 0;
    measure();
    if (!following) toTop(lines.rowOf(index) * rowHeight);
    again();
  });
  resized.observe(element);

  /** @param {number} number */
  const show = (number) => {
    setFollowing(false);
    aim = number;
    again();
  };

  return {
    element,
    lines,
    /** @param {import("./log-window.js").Line & { line: number }} event */
    push(event) {
      const before = lines.dropped;
      lines.push(event);
      const line = lines.at(lines.count - 1);
      if (line) search.add(line);
      if (lines.dropped !== before) again();
      plan();
    },
    get following() {
      return following;
    },
    follow(/** @type {boolean} */ on) {
      aim = 0;
      setFollowing(on);
      plan();
    },
    get wrapping() {
      return wrapping;
    },
    wrap(/** @type {boolean} */ on) {
      wrapping = on;
      measure();
      again();
    },
    /** Marks a line and brings it into sight, now or when it comes. 0: none. @param {number} number */
    goTo(number) {
      target = number;
      if (number > 0) show(number);
      else again();
    },
    /** @param {string} words */
    search(words) {
      search = createSearch(words);
      for (let i = 0; i < lines.count; i++) {
        const line = lines.at(i);
        if (line) search.add(line);
      }
      current = 0;
      if (words) this.step(1);
      again();
    },
    /** Where the search stands: 0 of n when nowhere. */
    get matches() {
      return { at: search.found.indexOf(current) + 1, of: search.found.length };
    },
    /** @param {1 | -1} way */
    step(way) {
      const number = search.next(current, way);
      if (number === undefined) return;
      current = number;
      show(number);
    },
    close: () => resized.disconnect(),
  };
}

/** @param {import("./ansi.js").Run} run */
function spanOf({ text, color, background, bold, dim, italic, underline, strike, inverse, mark }) {
  const [front, back] = inverse ? [background ?? "inverse", color ?? "inverse"] : [color, background];
  const classes = [
    bold && "bold",
    dim && "dim",
    italic && "italic",
    underline && "underline",
    strike && "strike",
    typeof front === "number" && `f${front}`,
    typeof back === "number" && `b${back}`,
    front === "inverse" && "f-inverse",
    back === "inverse" && "b-inverse",
  ].filter(Boolean);
  const free = [front, back].some((value) => typeof value === "string" && value !== "inverse");
  if (classes.length === 0 && !free) return mark ? h("mark", null, text) : text;
  const span = h(mark ? "mark" : "span", { class: classes.join(" ") }, text);
  // The values are made of numbers by the parser; the policy allows this way of setting them.
  if (typeof front === "string" && front !== "inverse") span.style.color = front;
  if (typeof back === "string" && back !== "inverse") span.style.backgroundColor = back;
  return span;
}

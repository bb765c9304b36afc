/** The log with its tools: search, go to line, follow, wrap, copy, download. */
import { h, notice, noticeError } from "./dom.js";
import { plural } from "./format.js";
import { createLogView } from "./log-view.js";
import { deployLink } from "./parts.js";

/** @param {string} id */
export function createLogPanel(id) {
  /** @type {"live" | "lost" | "ended" | "asking"} */
  let state = "asking";
  const view = createLogView({ link: (line) => deployLink(id, line), onState: () => drawn() });

  /** @param {string} text @param {Record<string, string>} [more] */
  const tool = (text, more) => h("button", { type: "button", ...more }, text);
  const search = /** @type {HTMLInputElement} */ (
    h("input", {
      type: "search",
      placeholder: "Search the log",
      "aria-label": "Search the log",
      spellcheck: "false",
    })
  );
  const count = h("span", { class: "faint count", role: "status" });
  const before = tool("↑", { "aria-label": "Match before" });
  const after = tool("↓", { "aria-label": "Next match" });
  const line = /** @type {HTMLInputElement} */ (
    h("input", {
      class: "line",
      inputmode: "numeric",
      placeholder: "Line",
      "aria-label": "Go to line",
      size: 6,
    })
  );
  const following = tool("Follow");
  const wrapping = tool("Wrap lines");
  const copy = tool("Copy");
  const download = h(
    "a",
    { class: "button", href: `deploys/${encodeURIComponent(id)}/logs`, download: `${id}.log` },
    "Download",
  );
  const foot = h("p", { class: "faint foot" });
  const element = h(
    "div",
    { "data-key": "panel", "data-own": "", class: "panel" },
    h(
      "div",
      { class: "tools", role: "group", "aria-label": "Tools of the log" },
      h("span", { class: "tool-search" }, search, before, after, count),
      h("span", { class: "tool-rest" }, line, following, wrapping, copy, download),
    ),
    view.element,
    foot,
  );

  /** Text is only set where it differs: what is read aloud is read once. @param {Element} node @param {string} text */
  const put = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
  };
  let plannedDraw = false;
  function drawn() {
    if (plannedDraw) return;
    plannedDraw = true;
    requestAnimationFrame(() => {
      plannedDraw = false;
      const { at, of } = view.matches;
      put(
        count,
        search.value === "" ? "" : of === 0 ? "no match" : `${at || "–"} of ${of.toLocaleString("en")}`,
      );
      following.setAttribute("aria-pressed", String(view.following));
      wrapping.setAttribute("aria-pressed", String(view.wrapping));
      const { dropped, count: lines } = view.lines;
      const states = {
        asking: "Connecting…",
        live: view.following ? "Live, following" : "Live, paused here",
        lost: "Connection lost, trying again…",
        ended: "Complete",
      };
      const words = [states[state], plural(lines + dropped, "line")];
      if (dropped > 0) words.push(`the first ${dropped.toLocaleString("en")} are in the download only`);
      put(foot, words.join(" · "));
      element.dataset.state = state;
    });
  }

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let typing;
  let found = "";
  const find = () => {
    clearTimeout(typing);
    found = search.value;
    view.search(found);
    drawn();
  };
  const step = (/** @type {1 | -1} */ way) => {
    view.step(way);
    drawn();
  };
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(find, 200);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      search.value = "";
      find();
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (found !== search.value) find();
    else step(event.shiftKey ? -1 : 1);
  });
  before.addEventListener("click", () => step(-1));
  after.addEventListener("click", () => step(1));
  line.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const number = Number.parseInt(line.value, 10);
    if (number > 0) location.hash = deployLink(id, number);
  });
  following.addEventListener("click", () => view.follow(!view.following));
  wrapping.addEventListener("click", () => {
    view.wrap(!view.wrapping);
    drawn();
  });
  copy.addEventListener("click", async () => {
    try {
      await copyText(view.lines.text());
      notice(`Copied ${plural(view.lines.count, "line")}.`);
    } catch (error) {
      noticeError(error);
    }
  });
  drawn();

  return {
    element,
    /** @param {any} event */
    push(event) {
      view.push(event);
      drawn();
    },
    /** @param {"live" | "lost" | "ended"} now */
    setState(now) {
      if (state === now) return;
      state = now;
      drawn();
    },
    /** @param {number} number */
    goTo(number) {
      view.goTo(number);
      drawn();
    },
    close: view.close,
  };
}

/** @param {string} text */
async function copyText(text) {
  // Only pages under TLS (or localhost) have a clipboard of their own.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = /** @type {HTMLTextAreaElement} */ (h("textarea", { class: "visually-hidden" }));
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser did not let this page copy; use Download");
}

/** Small pieces that more than one view shows. */
import { h } from "./dom.js";
import { ago, duration, firstLine, short, statusLook } from "./format.js";

/** @param {{ word: string, sign: string, tone: string }} look @param {string} [label] */
export const badge = ({ word, sign, tone }, label) =>
  h(
    "span",
    { class: `badge ${tone}` },
    h("span", { class: "sign", "aria-hidden": "true" }, sign),
    label && h("span", { class: "visually-hidden" }, label),
    word,
  );

/** @param {string} status */
export const statusBadge = (status) => badge(statusLook(status), "Status: ");

/** What stands between backticks in our own sentences is code. @param {string} [text] */
export const prose = (text = "") => text.split("`").map((part, i) => (i % 2 ? h("code", null, part) : part));

/** @param {string | null | undefined} iso */
export const when = (iso) =>
  iso
    ? h("time", { datetime: iso, title: new Date(iso).toLocaleString() }, ago(iso))
    : h("span", { class: "faint" }, "not yet");

/** @param {{ sha: string, message: string }} commit @param {string} [otherwise] */
export const commitText = ({ sha, message }, otherwise = "") => [
  sha && h("code", { class: "sha" }, short(sha)),
  sha && " ",
  h("bdi", { class: "message" }, firstLine(message) || otherwise),
];

/** How long a deploy has taken, or is taking. @param {any} deploy */
export function took({ startedAt, finishedAt }) {
  if (!startedAt) return "";
  return duration((finishedAt ? Date.parse(finishedAt) : Date.now()) - Date.parse(startedAt));
}

/** Of that, what dropless itself took, beyond commands, boots and waits; empty where it is not known. @param {any} deploy */
export function own({ steps }) {
  const known = steps.filter((/** @type {any} */ { ownMs }) => ownMs !== undefined);
  const sum = known.reduce((/** @type {number} */ all, /** @type {any} */ { ownMs }) => all + ownMs, 0);
  return known.length > 0 ? ` (own ${duration(sum)})` : "";
}

/** @param {string} action @param {string} label @param {Record<string, string | undefined>} [more] */
export const button = (action, label, more) =>
  h("button", { type: "button", "data-action": action, "data-key": action, ...more }, label);

/** @param {string} name @param {...import("./dom.js").Child} value */
export const fact = (name, ...value) =>
  h("div", { class: "fact", "data-key": name }, h("dt", null, name), h("dd", null, ...value));

/** @param {string} id @param {number} [line] */
export const deployLink = (id, line) => `#/deploys/${encodeURIComponent(id)}${line ? `/L${line}` : ""}`;

/** Not at its end yet. @param {any} deploy */
export const isActive = (deploy) => deploy.status === "queued" || deploy.status === "running";

/**
 * Elements out of values. Strings become text nodes and attributes, never markup: nothing that came from a
 * repository can be HTML here.
 */

/** @typedef {Node | string | number | false | null | undefined | Child[]} Child */

const svg = "http://www.w3.org/2000/svg";
const drawn = new Set(["svg", "path", "circle"]);

/**
 * `h("a", { href: "#/", class: "x", hidden: true }, "text", [more])`. An attribute that is false, null or
 * undefined is left out; true gives an empty one.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined> | null} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes, ...children) {
  const element = /** @type {HTMLElement} */ (
    drawn.has(tag) ? document.createElementNS(svg, tag) : document.createElement(tag)
  );
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

/** @param {Element} parent @param {Child[]} children */
function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.append(child);
    else if (child !== false && child !== null && child !== undefined) parent.append(String(child));
  }
}

/** @param {Node} node */
const keyOf = (node) => (node instanceof Element ? (node.getAttribute("data-key") ?? "") : "");

/** @param {Node} a @param {Node} b */
const alike = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/**
 * Makes `now` look like `next` with as few changes as possible, so that focus, selection, open details and
 * scroll positions outlive an update. An element with `data-own` belongs to somebody else: it is left alone.
 * @param {Element} now @param {Element} next
 */
export function morph(now, next) {
  if (now.hasAttribute("data-own")) return;
  for (const { name } of [...now.attributes]) {
    // What a person opened stays open.
    if (!next.hasAttribute(name) && !(name === "open" && now.nodeName === "DETAILS"))
      now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  const wanted = [...next.childNodes];
  for (const [index, child] of wanted.entries()) {
    const here = now.childNodes[index];
    if (here && alike(here, child)) {
      if (here instanceof Element && child instanceof Element) morph(here, child);
      else if (here.nodeValue !== child.nodeValue) here.nodeValue = child.nodeValue;
      continue;
    }
    const key = keyOf(child);
    const known = key && [...now.childNodes].slice(index).find((other) => alike(other, child));
    if (known instanceof Element && child instanceof Element) {
      now.insertBefore(known, here ?? null);
      morph(known, child);
    } else {
      now.insertBefore(child, here ?? null);
    }
  }
  while (now.childNodes.length > wanted.length) now.lastChild?.remove();
}

/** @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Says something to a screen reader without showing it.
 * @param {string} text
 */
export function say(text) {
  byId("said").textContent = text;
}

/**
 * Shows something in the corner. Good news leaves by itself, trouble stays until it was read.
 * @param {string} text @param {string} [hint] @param {"good" | "bad"} [kind]
 */
export function notice(text, hint, kind = "good") {
  const close = h("button", { type: "button", class: "plain", "aria-label": "Dismiss" }, "×");
  const box = h(
    "div",
    { class: `notice ${kind}`, role: kind === "bad" ? "alert" : null },
    h("div", null, h("strong", null, text), hint && h("p", null, hint)),
    close,
  );
  close.addEventListener("click", () => box.remove());
  byId("notices").append(box);
  if (kind === "good") setTimeout(() => box.remove(), 6000);
}

/** @param {unknown} error An Error, with a `hint` when the daemon gave one. */
export function noticeError(error) {
  const { message, hint } = /** @type {{ message?: string, hint?: string }} */ (error ?? {});
  notice(message ?? String(error), hint, "bad");
}

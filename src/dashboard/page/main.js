/** The page: who is signed in, which view the address names, and what a press of a button does. */
import { call, get } from "./api.js";
import { createDeployView } from "./deploy-view.js";
import { askCancel, askDeploy, askHold, askRedeploy, askResume, askRollback } from "./dialogs.js";
import { byId, h, morph, noticeError } from "./dom.js";
import { createOverview } from "./overview.js";
import { deployLink, prose } from "./parts.js";
import { createSignIn } from "./sign-in.js";

/** @type {{ name: string, scope: string } | null} */
let operator = null;
/** Whether the daemon describes its HTTP interface. */
let docs = false;
/** @type {any} */
let view;
let shown = "";
let away = false;

function drawTop() {
  morph(
    byId("top"),
    h(
      "header",
      { class: "top", id: "top" },
      h(
        "a",
        { class: "brand", href: "#/" },
        h("img", { src: "page/icon.svg", alt: "", width: 24, height: 24 }),
        "dropless",
      ),
      h("span", { class: "away", role: "status" }, away && "Not connected, trying again…"),
      operator &&
        h(
          "span",
          { class: "operator faint", "data-key": "operator" },
          h("bdi", null, operator.name),
          ` (${operator.scope})`,
        ),
      operator &&
        h(
          "button",
          { type: "button", class: "plain", "data-action": "sign-out", "data-key": "out" },
          "Sign out",
        ),
    ),
  );
}

const onAway = (/** @type {boolean} */ now) => {
  if (now === away) return;
  away = now;
  drawTop();
};

/** @param {any} error */
function onProblem(error) {
  if (error.status === 401) return signedOut("Your session has ended. Sign in again.");
  if (error.code === "away" || error.status >= 500) return;
  onAway(false);
  view?.close();
  view = undefined;
  morph(
    byId("main"),
    h(
      "main",
      { id: "main", tabindex: -1 },
      h("h1", { tabindex: -1 }, prose(error.message)),
      h("p", null, prose(error.hint)),
      h("p", null, h("a", { href: "#/" }, "All apps and deploys")),
    ),
  );
}

/** @param {string} [why] */
function signedOut(why) {
  operator = null;
  view?.close();
  view = createSignIn({
    why,
    onSignedIn: (who) => {
      operator = who;
      open();
    },
  });
  shown = "";
  onAway(false);
  drawTop();
}

function open() {
  if (!operator) return;
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [, id, line] = /^deploys\/([^/]+)(?:\/L(\d+))?$/.exec(path) ?? [];
  const key = id ? `deploy ${id}` : `overview ${query}`;
  if (key === shown) {
    if (id) view.panel.goTo(Number(line ?? 0));
    return;
  }
  const first = shown === "";
  shown = key;
  view?.close();
  document.title = "dropless";
  byId("main").replaceChildren(h("p", { class: "faint", "data-key": "wait" }, "Loading…"));
  const mayDeploy = operator.scope !== "read";
  view = id
    ? createDeployView({ id: decodeURIComponent(id), line: Number(line ?? 0), mayDeploy, onAway, onProblem })
    : createOverview({ query: new URLSearchParams(query), mayDeploy, docs, onAway, onProblem });
  drawTop();
  // A view that was gone to begins at its beginning, also for who cannot see it.
  if (!first) byId("main").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

const reload = () => view?.load?.();
const onStarted = (/** @type {string} */ id) => {
  location.hash = deployLink(id);
};

/** @type {Record<string, (data: DOMStringMap) => unknown>} */
const actions = {
  "sign-out": async () => {
    await call("DELETE", "session");
    signedOut("You are signed out.");
  },
  older: () => view.older(),
  deploy: ({ app }) => askDeploy({ app: view.app(app), onStarted }),
  redeploy: () => askRedeploy({ deploy: view.deploy, app: view.app(), onStarted }),
  cancel: () => askCancel({ deploy: view.deploy, app: view.app(), onDone: reload }),
  rollback: ({ app, release }) => askRollback({ name: app ?? "", release, onStarted }),
  hold: ({ app }) => askHold({ app: view.app(app), onDone: reload }),
  resume: ({ app }) => askResume({ app: view.app(app), onDone: reload }),
};

document.addEventListener("click", async (event) => {
  if (!(event.target instanceof Element)) return;
  if (event.target.closest(".skip")) {
    // The address is the view's; this link must not change it.
    event.preventDefault();
    byId("main").focus();
    return;
  }
  const pressed = event.target.closest("[data-action]");
  if (!(pressed instanceof HTMLElement)) return;
  try {
    await actions[pressed.dataset.action ?? ""]?.(pressed.dataset);
  } catch (error) {
    if (/** @type {any} */ (error).status === 401) onProblem(error);
    else noticeError(error);
  }
});

document.addEventListener("change", (event) => {
  if (!(event.target instanceof HTMLSelectElement) || !event.target.dataset.filter) return;
  const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
  if (event.target.value) query.set(event.target.dataset.filter, event.target.value);
  else query.delete(event.target.dataset.filter);
  location.hash = query.size > 0 ? `#/?${query}` : "#/";
});

window.addEventListener("hashchange", open);

async function begin() {
  try {
    ({ operator, docs = false } = await get("session"));
    onAway(false);
  } catch {
    onAway(true);
    setTimeout(begin, 2000);
    return;
  }
  if (operator) open();
  else signedOut();
}

drawTop();
begin();

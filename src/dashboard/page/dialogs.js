/** What a person is asked before something changes. Each says by name what will. */
import { call, get } from "./api.js";
import { h, notice } from "./dom.js";
import { plural, short } from "./format.js";
import { commitText, isActive, prose, statusBadge, when } from "./parts.js";

/**
 * Shows a dialog; `act` runs when the person agrees, and its fault is shown in the dialog, which then stays.
 * @param {{ title: string, agree: string, bad?: boolean, body: import("./dom.js").Child[], act(form: FormData): Promise<void> }} options
 */
function ask({ title, agree, bad, body, act }) {
  const trouble = h("div", { role: "alert" });
  const yes = /** @type {HTMLButtonElement} */ (
    h("button", { class: bad ? "bad" : "main", type: "submit" }, agree)
  );
  const no = h("button", { type: "button" }, "Back");
  const form = /** @type {HTMLFormElement} */ (
    h(
      "form",
      null,
      h("h2", { id: "dialog-title" }, title),
      body,
      trouble,
      h("div", { class: "actions" }, no, yes),
    )
  );
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-labelledby": "dialog-title" }, form));
  const from = document.activeElement;
  no.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (from instanceof HTMLElement && from.isConnected) from.focus();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    yes.disabled = true;
    try {
      await act(new FormData(form));
      dialog.close();
    } catch (error) {
      const { message, hint } = /** @type {import("./api.js").Problem} */ (error);
      trouble.replaceChildren(
        h("p", { class: "verdict bad" }, h("strong", null, prose(message)), " ", prose(hint)),
      );
      yes.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {string} app */
const path = (app) => `apps/${encodeURIComponent(app)}`;

/** @param {{ app: any, onStarted(id: string): void }} options */
export function askDeploy({ app, onStarted }) {
  ask({
    title: `Deploy ${app.name}?`,
    agree: `Deploy ${app.name}`,
    body: [
      h(
        "p",
        null,
        "Builds the newest commit of ",
        h("code", null, app.branch),
        ", proves it, and rolls it in.",
      ),
      h(
        "label",
        null,
        "Another branch, tag or whole commit hash (optional)",
        h("input", { name: "ref", autocomplete: "off", spellcheck: "false" }),
      ),
      holdWarning(app),
    ],
    async act(form) {
      const ref = String(form.get("ref") ?? "").trim();
      const { id } = await call("POST", "deploys", { app: app.name, ...(ref && { ref }) });
      onStarted(id);
    },
  });
}

/** @param {{ deploy: any, app: any, onStarted(id: string): void }} options */
export function askRedeploy({ deploy, app, onStarted }) {
  const { commit } = deploy;
  ask({
    title: `Deploy ${deploy.app} again?`,
    agree: `Deploy ${short(commit.sha) || deploy.app}`,
    body: [
      h("p", null, "Builds this commit anew, proves it, and rolls it in:"),
      h("p", { class: "quote" }, commitText(commit, deploy.ref)),
      app?.live && app.live.commit !== commit.sha && h("p", null, "Live now is ", liveText(app), "."),
      holdWarning(app),
    ],
    async act() {
      const ref = commit.sha || undefined;
      const { id } = await call("POST", "deploys", { app: deploy.app, ...(ref && { ref }) });
      onStarted(id);
    },
  });
}

/** @param {{ deploy: any, app: any, onDone(): void }} options */
export function askCancel({ deploy, app, onDone }) {
  ask({
    title: `Cancel this deploy of ${deploy.app}?`,
    agree: "Cancel the deploy",
    bad: true,
    body: [
      h("p", { class: "quote" }, commitText(deploy.commit, deploy.ref)),
      h(
        "p",
        null,
        "What it has begun is put back. ",
        app?.live ? [liveText(app), " stays live."] : "Nothing is live yet.",
      ),
    ],
    async act() {
      await call("POST", `deploys/${encodeURIComponent(deploy.id)}/cancel`);
      notice("The deploy is being canceled.");
      onDone();
    },
  });
}

/** @param {any} app */
const liveText = (app) => {
  const live = app.releases.find((/** @type {any} */ one) => one.live);
  return live ? commitText(live.commit) : h("code", null, app.live?.release);
};

/** @param {any} app */
const holdWarning = (app) =>
  app?.hold && h("p", { class: "verdict warn" }, `${app.name} is on hold: `, h("bdi", null, app.hold.reason));

/**
 * Names the release that goes, the one that comes, and what else is touched.
 * @param {{ name: string, release?: string, onStarted(id: string): void }} options
 */
export async function askRollback({ name, release, onStarted }) {
  const [app, { deploys }] = await Promise.all([
    get(path(name)),
    get(`deploys?app=${encodeURIComponent(name)}&limit=20`),
  ]);
  const others = app.releases.filter((/** @type {any} */ one) => !one.live);
  if (others.length === 0) return notice(`${name} has no other release to go back to.`, undefined, "bad");
  const live = app.releases.findIndex((/** @type {any} */ one) => one.live);
  const chosen =
    others.find((/** @type {any} */ one) => one.release === release) ??
    app.releases.slice(live + 1).find((/** @type {any} */ one) => !one.live) ??
    others[0];
  const busy = deploys.filter(isActive);
  ask({
    title: `Roll back ${name}?`,
    agree: `Roll back ${name}`,
    bad: true,
    body: [
      h(
        "p",
        null,
        "From what is live now: ",
        app.live ? [liveText(app), " ", h("code", { class: "faint" }, app.live.release)] : "nothing",
      ),
      h(
        "fieldset",
        null,
        h("legend", null, "To"),
        others.map((/** @type {any} */ one) =>
          h(
            "label",
            { class: "choice" },
            h("input", { type: "radio", name: "release", value: one.release, checked: one === chosen }),
            h(
              "span",
              null,
              commitText(one.commit),
              h("span", { class: "faint" }, " ", h("code", null, one.release), " · ", when(one.finishedAt)),
            ),
          ),
        ),
      ),
      h(
        "ul",
        { class: "changes" },
        h(
          "li",
          null,
          `${plural(app.instances.length, "instance")} of ${name} will be replaced, drained one after another.`,
        ),
        h("li", null, "Nothing is installed and nothing is built."),
        h("li", null, "Database migrations are not undone."),
        busy.map((/** @type {any} */ one) =>
          h(
            "li",
            null,
            statusBadge(one.status),
            " ",
            commitText(one.commit, one.ref),
            " is canceled or replaced.",
          ),
        ),
      ),
    ],
    async act(form) {
      const { id } = await call("POST", `${path(name)}/rollback`, { release: form.get("release") });
      onStarted(id);
    },
  });
}

/** @param {{ app: any, onDone(): void }} options */
export function askHold({ app, onDone }) {
  ask({
    title: `Hold ${app.name}?`,
    agree: `Hold ${app.name}`,
    body: [
      h(
        "p",
        null,
        "It starts no deploy until the hold is released. What waits keeps waiting; a rollback is still possible.",
      ),
      h(
        "label",
        null,
        "Why",
        h("input", { name: "reason", required: true, maxlength: 500, autocomplete: "off" }),
      ),
    ],
    async act(form) {
      await call("PUT", `${path(app.name)}/hold`, { reason: String(form.get("reason")) });
      notice(`${app.name} is on hold.`);
      onDone();
    },
  });
}

/** @param {{ app: any, onDone(): void }} options */
export function askResume({ app, onDone }) {
  ask({
    title: `Release the hold of ${app.name}?`,
    agree: "Release the hold",
    body: [
      h(
        "p",
        null,
        "Deploys of it start again, and what has waited goes ahead. The hold said: ",
        h("bdi", null, app.hold?.reason ?? ""),
      ),
    ],
    async act() {
      await call("DELETE", `${path(app.name)}/hold`);
      notice(`${app.name} takes deploys again.`);
      onDone();
    },
  });
}

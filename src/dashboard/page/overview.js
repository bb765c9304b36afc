/** The first view: every app, and the latest deploys. */
import { get } from "./api.js";
import { byId, h, morph } from "./dom.js";
import {
  duration,
  healthOf,
  megabytes,
  plural,
  receiptText,
  statusLook,
  statusNames,
  triggerWord,
} from "./format.js";
import { badge, button, commitText, deployLink, isActive, prose, statusBadge, took, when } from "./parts.js";

const pageSize = 20;

/**
 * @param {{ query: URLSearchParams, mayDeploy: boolean, docs: boolean, onAway(away: boolean): void, onProblem(error: unknown): void }} options
 */
export function createOverview({ query, mayDeploy, docs, onAway, onProblem }) {
  let ended = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let size = pageSize;
  /** @type {any} */
  let state;

  const filter = { app: query.get("app") ?? "", status: query.get("status") ?? "" };

  async function load() {
    clearTimeout(timer);
    try {
      const asked = new URLSearchParams({ limit: String(Math.min(100, size)) });
      if (filter.app) asked.set("app", filter.app);
      if (filter.status) asked.set("status", filter.status);
      const [{ apps }, { deploys, next }] = await Promise.all([get("apps"), get(`deploys?${asked}`)]);
      let more = next;
      while (deploys.length < size && more) {
        const page = await get(`deploys?${asked}&before=${more}`);
        deploys.push(...page.deploys);
        more = page.next;
      }
      if (ended) return;
      state = { apps, deploys, next: more };
      onAway(false);
      draw();
    } catch (error) {
      if (ended) return;
      onAway(true);
      onProblem(error);
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    // Nobody looks: the next visit asks anew.
    if (ended || document.hidden) return;
    timer = setTimeout(load, state?.deploys.some(isActive) ? 2000 : 5000);
  }
  const seen = () => {
    if (!document.hidden) load();
  };
  document.addEventListener("visibilitychange", seen);

  function draw() {
    const { apps, deploys, next } = state;
    morph(
      byId("main"),
      h(
        "main",
        { id: "main", tabindex: -1 },
        h("h1", { class: "visually-hidden", tabindex: -1, "data-key": "title" }, "Apps and deploys"),
        h(
          "section",
          { "aria-labelledby": "apps", "data-key": "apps" },
          h("h2", { id: "apps" }, "Apps"),
          apps.length === 0 && h("p", { class: "empty" }, "The configuration has no apps yet."),
          h(
            "ul",
            { class: "apps" },
            apps.map((/** @type {any} */ app) => appCard(app, mayDeploy)),
          ),
        ),
        h(
          "section",
          { "aria-labelledby": "deploys", "data-key": "deploys" },
          h("div", { class: "head" }, h("h2", { id: "deploys" }, "Deploys"), filters(apps, filter)),
          deploys.length > 0
            ? h("ol", { class: "deploys" }, deploys.map(deployRow))
            : h(
                "p",
                { class: "empty" },
                filter.app || filter.status
                  ? "No deploy fits this choice."
                  : "No deploys yet. The first one comes with a push, or by the button of an app.",
              ),
          next && button("older", "Show older deploys"),
        ),
        docs && h("p", { class: "docs", "data-key": "docs" }, h("a", { href: "docs" }, "The HTTP interface")),
      ),
    );
  }

  load();
  return {
    load,
    older() {
      size += pageSize;
      return load();
    },
    app: (/** @type {string} */ name) => state?.apps.find((/** @type {any} */ app) => app.name === name),
    close() {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    },
  };
}

/** @param {any[]} apps @param {{ app: string, status: string }} filter */
function filters(apps, filter) {
  /** @param {string} name @param {string} label @param {string} all @param {[string, string][]} choices @param {string} chosen */
  const select = (name, label, all, choices, chosen) =>
    h(
      "select",
      { "data-filter": name, "aria-label": label, "data-key": name },
      [["", all], ...choices].map(([value, text]) =>
        h("option", { value, selected: value === chosen }, text),
      ),
    );
  return h(
    "div",
    { class: "filters" },
    apps.length > 1 &&
      select(
        "app",
        "Deploys of which app",
        "All apps",
        apps.map(({ name }) => [name, name]),
        filter.app,
      ),
    select(
      "status",
      "Deploys of which status",
      "Every status",
      statusNames.map((name) => [name, statusLook(name).word]),
      filter.status,
    ),
  );
}

/** @param {any} app @param {boolean} mayDeploy */
function appCard(app, mayDeploy) {
  const { name, live, hold, instances, releases, pm2Error } = app;
  const commit = releases.find((/** @type {any} */ one) => one.live)?.commit ?? {
    sha: live?.commit,
    message: "",
  };
  return h(
    "li",
    { class: "card app", "data-key": name },
    h("div", { class: "head" }, h("h3", null, name), badge(healthOf(app), "Health: ")),
    hold &&
      h(
        "p",
        { class: "hold" },
        badge({ word: "On hold", sign: "‖", tone: "warn" }),
        " ",
        h("bdi", null, hold.reason),
        h("span", { class: "faint" }, " by ", h("bdi", null, hold.by), ", ", when(hold.since)),
      ),
    live
      ? h(
          "p",
          { class: "live" },
          h("a", { class: "commit", href: deployLink(live.deploy) }, commitText(commit, "the live commit")),
          h(
            "span",
            { class: "faint" },
            "live since ",
            when(live.since),
            " · ",
            h("code", { class: "release" }, live.release),
          ),
        )
      : h("p", { class: "faint" }, "Nothing is live yet."),
    pm2Error && h("p", { class: "trouble" }, prose(pm2Error.message), ". ", prose(pm2Error.hint)),
    h(
      "details",
      { "data-key": "instances" },
      h(
        "summary",
        null,
        instances.length > 0 ? plural(instances.length, "instance") : "No instances",
        h(
          "span",
          { class: "faint", title: app.repository },
          " of ",
          h("bdi", null, shortRepository(app.repository)),
          " on ",
          h("bdi", null, app.branch),
        ),
      ),
      instances.length > 0 && instanceTable(instances, live?.release),
    ),
    mayDeploy &&
      h(
        "div",
        { class: "actions" },
        button("deploy", "Deploy…", { "data-app": name, "aria-label": `Deploy ${name}` }),
        releases.some((/** @type {any} */ one) => !one.live) &&
          button("rollback", "Roll back…", { "data-app": name, "aria-label": `Roll back ${name}` }),
        hold
          ? button("resume", "Release the hold…", {
              "data-app": name,
              "aria-label": `Release the hold of ${name}`,
            })
          : button("hold", "Hold…", { "data-app": name, "aria-label": `Hold ${name}` }),
      ),
  );
}

/** `acme/api`, wherever it lies. @param {string} repository */
const shortRepository = (repository) =>
  repository
    .replace(/\/+$|\.git$/g, "")
    .split(/[/:]/)
    .slice(-2)
    .join("/");

/** @param {any[]} instances @param {string | undefined} live */
function instanceTable(instances, live) {
  const head = ["Instance", "Status", "Release", "Up for", "Restarts", "Memory"];
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "Instances" },
    h(
      "table",
      null,
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          head.map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h(
        "tbody",
        null,
        instances.map((one) =>
          h(
            "tr",
            { "data-key": one.pmId },
            h(
              "th",
              { scope: "row" },
              `${one.name} ${one.number}`,
              h("span", { class: "faint" }, ` pid ${one.pid}`),
            ),
            h("td", null, one.status),
            h(
              "td",
              null,
              !one.release ? "started by hand" : one.release === live ? "live" : h("code", null, one.release),
            ),
            h("td", null, duration(one.uptimeMs)),
            h("td", null, one.restarts),
            h("td", null, megabytes(one.memoryBytes)),
          ),
        ),
      ),
    ),
  );
}

/** @param {any} deploy */
function deployRow(deploy) {
  const { id, app, status, commit, receipt, position, error, trigger, createdAt, ref } = deploy;
  const step = deploy.steps.find((/** @type {any} */ one) => one.status === "running")?.name;
  const what = position
    ? position > 1
      ? `number ${position} in the queue`
      : "next in the queue"
    : took(deploy);
  return h(
    "li",
    { class: "deploy", "data-key": id },
    h(
      "a",
      { href: deployLink(id) },
      statusBadge(status),
      h("span", { class: "what" }, h("strong", null, app), " ", commitText(commit, ref)),
      h(
        "span",
        { class: "facts faint" },
        commit.author && h("bdi", null, commit.author),
        h("span", null, triggerWord(trigger)),
        when(createdAt),
        what && h("span", null, what),
        step && h("span", null, `in ${step}`),
        receipt && h("span", { class: receipt.failed > 0 ? "trouble" : null }, receiptText(receipt)),
        error && status !== "skipped" && h("span", { class: "trouble" }, prose(error.message)),
      ),
    ),
  );
}

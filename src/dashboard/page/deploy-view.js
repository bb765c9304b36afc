/** One deploy, live: what it is, its steps, its log. */
import { follow, get } from "./api.js";
import { byId, h, morph, say } from "./dom.js";
import { duration, firstLine, receiptText, short, statusLook, triggerWord } from "./format.js";
import { createLogPanel } from "./log-panel.js";
import { badge, button, deployLink, fact, isActive, own, prose, statusBadge, took, when } from "./parts.js";

/**
 * @param {{ id: string, line: number, mayDeploy: boolean, onAway(away: boolean): void, onProblem(error: unknown): void }} options
 */
export function createDeployView({ id, line, mayDeploy, onAway, onProblem }) {
  const ending = new AbortController();
  /** @type {any} */
  let deploy;
  /** The app's live release and those one can go back to. @type {any} */
  let app;
  /** Number of the first line of each step. @type {Map<string, number>} */
  const firstLines = new Map();
  const panel = createLogPanel(id);
  panel.goTo(line);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  async function load() {
    clearTimeout(timer);
    try {
      const answer = await get(`deploys/${encodeURIComponent(id)}`);
      // The stream may have told of the end while this was under way.
      if (!deploy || isActive(deploy) || !isActive(answer)) deploy = answer;
      app = await get(`apps/${encodeURIComponent(deploy.app)}`).catch(() => app);
      onAway(false);
      if (!ending.signal.aborted) draw();
    } catch (error) {
      if (ending.signal.aborted) return;
      onAway(true);
      onProblem(error);
    }
    // Its stream tells what happens to it; its place in the queue, and an answer that got lost, do not come there.
    if (!ending.signal.aborted && (!deploy || isActive(deploy))) timer = setTimeout(load, 5000);
  }
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(load, 100);
  };

  /** @param {import("./api.js").StreamEvent} event */
  function take({ event, data }) {
    if (event === "log") {
      if (data.step && !firstLines.has(data.step)) firstLines.set(data.step, data.line);
      panel.push(data);
    } else if (event === "end") {
      const news = !deploy || isActive(deploy);
      deploy = data;
      if (news) say(`Deploy of ${data.app}: ${statusLook(data.status).word}`);
      soon();
      draw();
    } else if (deploy && isActive(deploy)) {
      if (event === "status") deploy.status = data.status;
      const step = event === "step" && deploy.steps.find((/** @type {any} */ one) => one.name === data.name);
      if (step) {
        Object.assign(step, { status: data.status, durationMs: data.durationMs, ownMs: data.ownMs });
        if (data.status === "running") step.startedAt = data.time;
        say(`Step ${data.name}: ${statusLook(data.status).word}`);
      }
      soon();
    }
  }

  function draw() {
    if (!deploy) return;
    const { status, commit } = deploy;
    const main = byId("main");
    // Moving an element loses its scroll position: once it is there, an empty one stands for it.
    const log = main.contains(panel.element)
      ? h("div", { "data-key": "panel", "data-own": "" })
      : panel.element;
    document.title = `${statusLook(status).sign} ${deploy.app} ${short(commit.sha) || deploy.ref} · dropless`;
    const next = h(
      "main",
      { id: "main", tabindex: -1 },
      h("nav", { "aria-label": "Where you are" }, h("a", { href: "#/" }, "‹ All deploys")),
      h(
        "div",
        { class: "head title", "data-key": "title" },
        h(
          "h1",
          { tabindex: -1 },
          h("span", null, deploy.app),
          " ",
          h("bdi", { class: "message" }, firstLine(commit.message) || deploy.ref),
        ),
        statusBadge(status),
      ),
      mayDeploy && actions(deploy, app),
      h("div", { class: "about", "data-key": "about" }, outcome(deploy), facts(deploy)),
      h(
        "section",
        { "aria-labelledby": "steps", "data-key": "steps" },
        h("h2", { id: "steps" }, "Steps"),
        steps(),
      ),
      h(
        "section",
        { "aria-labelledby": "log", "data-key": "log", class: "log-section" },
        h("h2", { id: "log" }, "Log"),
        log,
      ),
    );
    morph(main, next);
  }

  const steps = () =>
    h(
      "ol",
      { class: "steps" },
      deploy.steps.map((/** @type {any} */ { name, status, startedAt, durationMs, ownMs, reason }) => {
        const look = statusLook(status);
        const first = firstLines.get(name);
        const ms =
          durationMs ?? (status === "running" && startedAt ? Date.now() - Date.parse(startedAt) : undefined);
        return h(
          "li",
          {
            class: `step ${look.tone}`,
            "data-key": name,
            "aria-current": status === "running" ? "step" : null,
          },
          h("span", { class: "sign", "aria-hidden": "true" }, look.sign),
          first ? h("a", { href: deployLink(id, first) }, name) : h("span", null, name),
          h("span", { class: "visually-hidden" }, look.word),
          h(
            "span",
            {
              class: "faint",
              title: reason ?? (ownMs === undefined ? null : `${duration(ownMs)} of it dropless itself`),
            },
            status === "skipped" ? "skipped" : duration(ms),
          ),
        );
      }),
    );

  // What runs, ticks.
  const tick = setInterval(() => {
    if (deploy && isActive(deploy) && !document.hidden) draw();
  }, 1000);

  load();
  follow(encodeURIComponent(id), {
    signal: ending.signal,
    onEvents: (events) => {
      for (const event of events) take(event);
    },
    onState: (state) => {
      panel.setState(state);
      if (state === "lost") onAway(true);
      if (state === "live") onAway(false);
    },
  }).catch((error) => {
    if (!ending.signal.aborted) onProblem(error);
  });

  return {
    load,
    get deploy() {
      return deploy;
    },
    panel,
    app: () => app,
    close() {
      ending.abort();
      clearTimeout(timer);
      clearInterval(tick);
      panel.close();
    },
  };
}

/** @param {any} deploy @param {any} app */
function actions(deploy, app) {
  const target = app?.releases.find((/** @type {any} */ one) => one.release === deploy.release && !one.live);
  return h(
    "div",
    { class: "actions", "data-key": "actions" },
    isActive(deploy)
      ? button("cancel", "Cancel…", { "data-id": deploy.id })
      : button("redeploy", "Deploy again…", { "data-id": deploy.id }),
    target &&
      button("rollback", "Roll back to this…", { "data-app": deploy.app, "data-release": deploy.release }),
  );
}

/** How it ended, in words. @param {any} deploy */
function outcome({ status, error, receipt, supersededBy, position }) {
  const tone = status === "skipped" || status === "canceled" ? "calm" : statusLook(status).tone;
  return h(
    "div",
    { class: "outcome", "data-key": "outcome" },
    status === "queued" &&
      h("p", null, position > 1 ? `Number ${position} in the queue.` : "Next in the queue."),
    error &&
      h(
        "div",
        { class: `verdict ${tone}` },
        h("p", null, h("strong", null, prose(error.message)), " ", h("code", { class: "faint" }, error.code)),
        h("p", null, prose(error.hint)),
      ),
    supersededBy &&
      h("p", null, "A newer deploy took its place: ", h("a", { href: deployLink(supersededBy) }, "go to it")),
    receipt &&
      h(
        "p",
        { class: "receipt" },
        badge(
          receipt.failed > 0
            ? { word: "Receipt", sign: "!", tone: "bad" }
            : { word: "Receipt", sign: "✓", tone: "good" },
        ),
        " ",
        receiptText(receipt),
      ),
  );
}

/** @param {any} deploy */
function facts(deploy) {
  const { commit, ref, trigger, createdAt, release, previous, attempt } = deploy;
  return h(
    "dl",
    { class: "facts", "data-key": "facts" },
    fact("Commit", commit.sha ? h("code", { title: commit.sha }, commit.sha.slice(0, 12)) : "not known yet"),
    commit.author && fact("Author", h("bdi", null, commit.author)),
    fact(
      "Asked for",
      triggerWord(trigger),
      " · ",
      h("bdi", null, ref.replace(/^refs\/heads\//, "")),
      " · ",
      when(createdAt),
    ),
    deploy.startedAt && fact(isActive(deploy) ? "Running for" : "Took", took(deploy), own(deploy)),
    release && fact("Release", h("code", null, release)),
    previous && fact("Before it", h("code", null, previous)),
    attempt > 1 && fact("Attempt", attempt),
  );
}

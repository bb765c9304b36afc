import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appFiles } from "../support/apps.js";
import { barriers, startBrowser } from "../support/browser.js";
import { createHost, type DeployAnswer, type Host } from "../support/host.js";
import { exampleConfig, startNginx } from "../support/nginx.js";
import { createRepo, type Repo } from "../support/repo.js";
import { freePort } from "../support/temp.js";
import { canTest } from "../support/tools.js";

/** Says something, then waits for the test: a build that is at a known place for as long as it is looked at. */
const build = (last: string) => `
import { existsSync } from "node:fs";
console.log("\\u001b[36mvite v7\\u001b[39m \\u001b[32mbuilding for production…\\u001b[39m");
for (let i = 1; i <= 120; i++)
  console.log("  \\u001b[2mdist/assets/\\u001b[22m\\u001b[36mmodule-" + i + ".js\\u001b[39m  " + (i % 9) + "." + (i % 7) + " kB");
console.log("rendering chunks…");
while (!existsSync(process.env.GATE)) await new Promise((resolve) => setTimeout(resolve, 20));
${last}
`;
const good = 'console.log("✓ built");';
const markup = `<img src=x onerror="window.owned=1"><script>window.owned=2</script>`;

describe.runIf(canTest("chromium"))("the page, in a real browser", () => {
  let host: Host;
  let repo: Repo;
  let port = 0;
  let gate = "";
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const troubles: string[] = [];

  beforeAll(async () => {
    host = await createHost();
    port = await freePort();
    gate = join(host.dir, "gate");
    repo = createRepo(host.dir, "api");
    host.addApp("api", {
      repository: repo.url,
      port,
      install: false,
      build: "node build.mjs",
      buildEnv: { GATE: gate },
      pm2: { script: "server.js", instances: 1 },
    });
    host.more.openapi = true;
    await host.start();
    mkdirSync(join(host.dir, "browser"));
    browser = await startBrowser(join(host.dir, "browser"));
    context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: false });
    context.setDefaultTimeout(90_000);
    page = await context.newPage();
    page.on("pageerror", (error) => troubles.push(String(error)));
    page.on("console", (message) => {
      // A daemon that is away is part of what is tested here.
      const away = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|40[01]|5\d\d/.test(message.text());
      // Where the address is a file, the browser asks for an icon by itself.
      const icon = message.location().url.endsWith("/favicon.ico");
      if (message.type() === "error" && !away && !icon) troubles.push(message.text());
    });
    page.on("dialog", (dialog) => {
      troubles.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
  });
  afterAll(async () => {
    await browser?.close();
    await host?.end();
  });

  const push = async (release: string, message: string, more: { last?: string } = {}): Promise<string> => {
    rmSync(gate, { force: true });
    const files = { ...appFiles({ kind: "http", release, port }), "build.mjs": build(more.last ?? good) };
    const sha = repo.commit(files, message);
    const answer = await host.push(repo.fullName, sha, { message });
    expect(answer.status).toBe(202);
    return answer.body.id;
  };
  const openGate = () => writeFileSync(gate, "");
  const served = async () => (await fetch(`http://127.0.0.1:${port}/`)).text();
  const status = (word: string) => page.locator(".title .badge", { hasText: word });
  /** Waits for whatever end, so that a wrong one is told at once, and with its log. */
  const endsAs = async (id: string, word: string) => {
    await page.locator(".title .badge:not(.busy)", { hasNotText: "Queued" }).waitFor();
    const shown = await page.locator(".title .badge").innerText();
    expect(shown, await host.logOf(id)).toContain(word);
  };
  /** Nothing on the page as it is now keeps anybody out, in light or in the dark. */
  const passable = async () => {
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      expect([colorScheme, await barriers(page)]).toEqual([colorScheme, []]);
    }
  };
  const log = () => page.getByRole("region", { name: "Log of the deploy" });
  const signIn = async (on: Page, token: string) => {
    await on.getByLabel("Your token").fill(token);
    await on.getByRole("button", { name: "Sign in" }).click();
  };

  it("lets an operator in by token, into a session that no script can read", async () => {
    await page.goto(`${host.url}/`);
    await signIn(page, "not a token");
    await page.getByRole("alert").getByText("This is not the token of an operator").waitFor();
    await passable();
    await signIn(page, host.token);
    await page.getByRole("heading", { name: "Apps", exact: true }).waitFor();
    await page.getByText("tester (admin)").waitFor();
    await page.getByText("Not deployed yet").waitFor();
    expect(await context.cookies()).toMatchObject([{ httpOnly: true, sameSite: "Strict", path: "/" }]);
    expect(await page.evaluate("document.cookie")).toBe("");
    expect(await page.evaluate("JSON.stringify([localStorage, sessionStorage])")).not.toContain(host.token);
  });

  it("shows a deploy live from push to success", async () => {
    const id = await push("one", "The first release");
    // Nobody reloads: the list finds it by itself.
    await page.getByRole("link", { name: "The first release" }).click();
    await status("Running").waitFor();
    await log().getByText("rendering chunks…", { exact: true }).waitFor();
    await page.locator('.step[aria-current="step"]', { hasText: "build" }).waitFor();
    // It follows: the end is in sight, the beginning is not even on the page. Cyan is cyan.
    expect(await log().getByText("module-1.js", { exact: true }).count()).toBe(0);
    expect(await log().getByText("module-120.js", { exact: true }).getAttribute("class")).toBe("f6");
    await page.getByText(/^Live, following/).waitFor();

    await log().hover();
    await page.mouse.wheel(0, -600);
    await page.getByText(/^Live, paused here/).waitFor();
    openGate();
    await endsAs(id, "Succeeded");
    await page.getByText(/^Complete · /).waitFor();
    expect(await log().getByText("✓ built", { exact: true }).count()).toBe(0);
    await page.getByRole("button", { name: "Follow" }).click();
    expect(await served()).toContain("ok one ");
  });

  it("finds, links and marks a line", async () => {
    await page.getByLabel("Search the log").fill("MODULE-11");
    await page.getByText("1 of 11", { exact: true }).waitFor();
    await page.getByLabel("Search the log").press("Enter");
    await page.getByText("2 of 11", { exact: true }).waitFor();
    await passable();
    expect(await log().locator(".current mark").allInnerTexts()).toEqual(["module-11"]);
    const number = await log().locator(".current .log-number").innerText();
    await log().locator(".current .log-number").click();
    await log().locator(".target", { hasText: "module-110.js" }).waitFor();
    expect(page.url()).toMatch(new RegExp(`/L${number}$`));
    await page.reload();
    await log().locator(".target", { hasText: "module-110.js" }).waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "Download" }).click(),
    ]);
    expect(download.suggestedFilename()).toMatch(/\.log$/);
  });

  it("comes back by itself after the daemon was killed, still signed in, and misses no line", async () => {
    const id = await push("two", "Keep the session for an hour");
    await page.goto(`${host.url}/#/deploys/${id}`);
    await log().getByText("rendering chunks…", { exact: true }).waitFor();
    await host.stop("SIGKILL");
    await page.getByText(/^Connection lost, trying again/).waitFor();
    await page.getByText("Not connected, trying again…").waitFor();
    await host.start();
    await page.getByText(/^Live, /).waitFor();
    openGate();
    await endsAs(id, "Succeeded");
    await page.getByText(/^Complete · /).waitFor();
    const lines = (await host.logOf(id)).trimEnd().split("\n").length;
    await page.getByText(`Complete · ${lines} lines`).waitFor();
    await page.locator(".receipt", { hasText: /\d of [\d,]+ probes? failed, longest gap \d/ }).waitFor();
    expect(await served()).toContain("ok two ");
    // The README's picture: DROPLESS_SCREENSHOT=docs/page.png
    const picture = process.env.DROPLESS_SCREENSHOT;
    await page.mouse.move(0, 0);
    if (picture) await page.screenshot({ path: picture, fullPage: true });
  });

  it("shows why a deploy failed; what a repository wrote is text and nothing else", async () => {
    const last = `
for (let i = 1; i <= 200_000; i++) console.log("talk " + i);
console.log(${JSON.stringify(markup)});
process.exitCode = 3;`;
    const id = await push("three", `${markup} & a title`, { last });
    openGate();
    await page.goto(`${host.url}/#/deploys/${id}`);
    await page.getByRole("heading", { level: 1 }).getByText(markup).waitFor();
    await endsAs(id, "Failed");
    const verdict = await host.call<DeployAnswer>("GET", `/deploys/${id}`);
    await page
      .locator(".verdict")
      .getByText((verdict.body.error?.message ?? "no message").replaceAll("`", ""))
      .waitFor();
    await page
      .locator(".verdict")
      .getByText(verdict.body.error?.hint ?? "no hint")
      .waitFor();
    await page.locator(".step.bad", { hasText: "build" }).waitFor();
    await passable();
    await log().getByText(markup, { exact: true }).waitFor();
    // Of so many lines only those in sight are on the page; each of them can be reached.
    await page.getByText(/^Complete · 200,\d+ lines/).waitFor();
    await page.getByLabel("Search the log").fill("talk 123456");
    await log().locator(".current", { hasText: "talk 123456" }).waitFor();
    expect(await log().locator(".log-row").count()).toBeLessThan(120);
    await page.getByRole("link", { name: "All deploys" }).click();
    await page.locator(".deploy", { hasText: markup }).getByText("Failed").waitFor();
    expect(await page.evaluate("window.owned")).toBeUndefined();
    expect(await page.locator("main img, main script").count()).toBe(0);
    expect(await served()).toContain("ok two ");
  });

  it("rolls back, after naming what goes and what comes", async () => {
    await page.goto(`${host.url}/#/`);
    await page.getByRole("button", { name: "Roll back api" }).click();
    const dialog = page.getByRole("dialog", { name: "Roll back api?" });
    await dialog.getByText("Keep the session for an hour").waitFor();
    expect(await dialog.getByRole("radio", { name: /The first release/ }).isChecked()).toBe(true);
    await dialog.getByText("1 instance of api will be replaced").waitFor();
    await passable();
    // Escape changes nothing, and gives the focus back.
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    await expect
      .poll(() => page.evaluate("document.activeElement.textContent"), { timeout: 60_000 })
      .toBe("Roll back…");
    await page.keyboard.press("Enter");
    await dialog.getByRole("button", { name: "Roll back api" }).click();
    await page.waitForURL(/#\/deploys\//);
    await endsAs(page.url().split("/").at(-1) ?? "", "Succeeded");
    expect(await served()).toContain("ok one ");
  });

  it("deploys at a press, and cancels", async () => {
    rmSync(gate, { force: true });
    await page.goto(`${host.url}/#/`);
    await page.getByRole("button", { name: "Deploy api" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Deploy api" }).click();
    await page.waitForURL(/#\/deploys\//);
    await log().getByText("rendering chunks…", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Cancel…" }).click();
    await page.getByRole("dialog").getByText("The first release stays live.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel the deploy" }).click();
    await endsAs(page.url().split("/").at(-1) ?? "", "Canceled");
    expect(await served()).toContain("ok one ");
  });

  it("holds an app and releases it", async () => {
    await page.goto(`${host.url}/`);
    await page.getByRole("button", { name: "Hold api" }).click();
    await page.getByLabel("Why").fill("a <b>freeze</b>");
    await page.getByRole("dialog").getByRole("button", { name: "Hold api" }).click();
    await page.getByText("a <b>freeze</b>").waitFor();
    await passable();
    await page.getByRole("button", { name: "Release the hold of api" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Release the hold" }).click();
    await page.getByRole("button", { name: "Hold api" }).waitFor();
  });

  it("shows the HTTP interface at /docs, to who may read", async () => {
    await page.goto(`${host.url}/#/`);
    await page.getByRole("link", { name: "The HTTP interface" }).click();
    await page.waitForURL(`${host.url}/docs`);
    const rollback = page.getByRole("article", { name: "POST /apps/{app}/rollback" });
    await rollback.getByText("Needs an operator's token").waitFor();
    expect(await barriers(page)).toEqual([]);
    await page
      .getByRole("navigation", { name: "Calls" })
      .getByRole("link", { name: "GET /apps", exact: true })
      .click();
    const [file] = await Promise.all([
      page.waitForResponse(`${host.url}/openapi.json`),
      page.getByRole("link", { name: "openapi.json" }).click(),
    ]);
    expect(file.status()).toBe(200);
    const stranger = await browser.newContext();
    stranger.setDefaultTimeout(90_000);
    const other = await stranger.newPage();
    await other.goto(`${host.url}/docs`);
    await other.getByRole("link", { name: "Sign in" }).click();
    await other.getByLabel("Your token").waitFor();
    await page.goto(`${host.url}/`);
  });

  it("can be used by keyboard alone, from the address to the log and back", async () => {
    await page.goto(`${host.url}/`);
    await page.getByRole("button", { name: "Deploy api" }).waitFor();
    const press = async (key: string, until: string) => {
      for (let i = 0; i < 40; i++) {
        await page.keyboard.press(key);
        const now = (await page.evaluate("document.activeElement.innerText ?? ''")) as string;
        if (now.includes(until)) return;
      }
      throw new Error(`${key} never comes to ${until}`);
    };
    await press("Tab", "Skip to the content");
    await press("Tab", "Deploy…");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    // The dialog keeps the focus inside, and gives it back.
    expect(await page.evaluate("document.querySelector('dialog').contains(document.activeElement)")).toBe(
      true,
    );
    await page.keyboard.press("Escape");
    await expect
      .poll(() => page.evaluate("document.activeElement.innerText"), { timeout: 60_000 })
      .toBe("Deploy…");
    await press("Tab", "Keep the session for an hour");
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/deploys\//);
    await page.getByText(/^Complete · /).waitFor();
    await press("Tab", "Download");
    // The log itself takes the focus: it can be scrolled by keys.
    await page.keyboard.press("Tab");
    expect(
      await page.evaluate("document.activeElement.closest('[aria-label=\"Log of the deploy\"]') !== null"),
    ).toBe(true);
    await page.goBack();
    await page.getByRole("heading", { name: "Deploys", exact: true }).waitFor();
  });

  it("does nothing for another origin, not even one that gets the cookie sent", async () => {
    // Another port of the same host is the same site: SameSite alone would let this through. What the browser sends
    // along is read where it arrives: its own list of sent headers does not always come.
    const sent: (string | undefined)[] = [];
    const other = createServer((request, response) => {
      if (request.method === "POST") sent.push(request.headers.cookie);
      const form = (id: string, target: string) =>
        `<form method=post action="${target}/apps/api/rollback"><button>${id}</button></form>`;
      response.setHeader("content-type", "text/html");
      response.end(form("witness", "") + form("daemon", host.url));
    }).listen(0, "127.0.0.1");
    await once(other, "listening");
    const tab = await context.newPage();
    try {
      await tab.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
      await Promise.all([
        tab.waitForResponse(/127\.0\.0\.1:\d+\/apps\/api\/rollback$/),
        tab.getByRole("button", { name: "witness" }).click(),
      ]);
      expect(sent).toEqual([expect.stringContaining("dropless_session")]);
      const [answer] = await Promise.all([
        tab.waitForResponse(`${host.url}/apps/api/rollback`),
        tab.getByRole("button", { name: "daemon" }).click(),
      ]);
      expect(answer.status()).toBe(401);
    } finally {
      // Tabs end with the browser, here and elsewhere: Chromium sometimes never closes one that has only just come to
      // its page.
      other.closeAllConnections();
      other.close();
    }
    const { body } = await host.call<{ deploys: DeployAnswer[] }>("GET", "/deploys?status=queued");
    expect(body.deploys).toEqual([]);
  });

  it.runIf(canTest("nginx"))(
    "works below nginx's path prefix, on a phone: sign-in, a live deploy, its links",
    async () => {
      const nginx = await startNginx(join(host.dir, "nginx"), (listen) =>
        exampleConfig({ listen, app: port, daemon: host.port }),
      );
      const base = `http://127.0.0.1:${nginx.port}`;
      const phone = await browser.newContext({ viewport: { width: 375, height: 740 }, colorScheme: "dark" });
      try {
        phone.setDefaultTimeout(90_000);
        const small = await phone.newPage();
        const outside: string[] = [];
        small.on("request", (request) => {
          if (!request.url().startsWith(`${base}/_dropless/`)) outside.push(request.url());
        });
        // Typed without the slash at the end: nginx adds it, or every relative address would miss the prefix.
        await small.goto(`${base}/_dropless`);
        expect(outside.splice(0)).toEqual([`${base}/_dropless`]);
        await signIn(small, host.token);
        rmSync(gate, { force: true });
        await small.getByRole("button", { name: "Deploy api" }).click();
        await small
          .getByRole("dialog")
          .getByLabel(/Another branch/)
          .fill(repo.git("rev-parse", "HEAD~1"));
        await small.getByRole("dialog").getByRole("button", { name: "Deploy api" }).click();
        await small.waitForURL(`${base}/_dropless/#/deploys/*`);
        // The build waits for the gate: what is seen now has come through nginx line by line.
        const live = small.getByRole("region", { name: "Log of the deploy" });
        await live.getByText("rendering chunks…", { exact: true }).waitFor();
        await small.getByText(/^Live, following/).waitFor();
        openGate();
        await small.locator(".title .badge", { hasText: "Succeeded" }).waitFor();
        await small.getByText(/^Complete · /).waitFor();
        const [download] = await Promise.all([
          small.waitForEvent("download"),
          small.getByRole("link", { name: "Download" }).click(),
        ]);
        expect(readFileSync(await download.path(), "utf8")).toContain("rendering chunks…");
        expect(await small.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
        // The session is the daemon's: what is asked of the app at / does not carry it.
        expect(await phone.cookies()).toMatchObject([
          { path: "/_dropless", httpOnly: true, sameSite: "Strict" },
        ]);
        expect(await phone.cookies(base)).toEqual([]);
        await small.getByRole("button", { name: "Sign out" }).click();
        await small.getByText("You are signed out.").waitFor();
        expect(await phone.cookies()).toEqual([]);
        expect(outside).toEqual([]);
      } finally {
        await nginx.stop();
      }
    },
  );

  it("signs out", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByText("You are signed out.").waitFor();
    expect(await context.cookies()).toEqual([]);
    expect(troubles).toEqual([]);
  });
});

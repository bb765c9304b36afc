import { createHash } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createSessions, type Operator } from "../../src/http/session.js";
import { tempDir } from "../support/temp.js";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const own = { host: "deploy.example.com", origin: "https://deploy.example.com", "x-dropless-page": "1" };

function setUp(options: { now?: () => number; publicUrl?: string } = {}) {
  const file = join(tempDir("session"), "sessions.json");
  const operators = new Map<string, Operator>([[sha256("alices token"), { name: "alice", scope: "deploy" }]]);
  const make = () => createSessions({ file, operatorOf: (hash) => operators.get(hash), ...options });
  return { file, operators, make, sessions: make() };
}

const post = (headers: Record<string, string>) => ({ method: "POST", headers });
const get = (headers: Record<string, string>) => ({ method: "GET", headers });
const pair = (setCookie: string | undefined) => setCookie?.split(";")[0] ?? "";

describe("a session of the page", () => {
  it("is opened by an operator's token, and by no other", () => {
    const { sessions } = setUp();
    expect(sessions.open("bobs token", post(own))).toBeUndefined();
    const opened = sessions.open("alices token", post(own));
    expect(opened?.operator).toEqual({ name: "alice", scope: "deploy" });
    expect(sessions.operator(get({ ...own, cookie: `a=b; ${pair(opened?.cookie)}` }))?.name).toBe("alice");
    expect(sessions.operator(get({ ...own, cookie: "dropless_session=guessed" }))).toBeUndefined();
    expect(sessions.operator(get(own))).toBeUndefined();
  });

  it("sits in a cookie no script reads and no other site sends, for TLS only where there is TLS", () => {
    const { sessions } = setUp();
    const cookie = sessions.open("alices token", post(own))?.cookie ?? "";
    for (const attribute of ["HttpOnly", "SameSite=Strict", "Secure"]) expect(cookie).toContain(attribute);
    // Without Path the browser takes the folder of the page: nothing else on the same host gets it.
    expect(cookie).not.toMatch(/path|domain/i);
    const plain = { host: "localhost:9000", origin: "http://localhost:9000", "x-dropless-page": "1" };
    expect(sessions.open("alices token", post(plain))?.cookie).not.toContain("Secure");
  });

  it("outlives a restart; the file has no secret in it and is the daemon's alone", () => {
    const { sessions, make, file } = setUp();
    const cookie = pair(sessions.open("alices token", post(own))?.cookie);
    expect(make().operator(get({ ...own, cookie }))?.name).toBe("alice");
    const text = readFileSync(file, "utf8");
    expect(text).not.toContain("alices token");
    expect(text).not.toContain(cookie.split("=")[1]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    writeFileSync(file, "{ half");
    expect(make().operator(get({ ...own, cookie }))).toBeUndefined();
  });

  it("ends at sign-out, with its token, and after its time", () => {
    let time = 1_000_000;
    const { sessions, operators, make } = setUp({ now: () => time });
    const first = pair(sessions.open("alices token", post(own))?.cookie);
    const second = pair(sessions.open("alices token", post(own))?.cookie);
    expect(sessions.close(post({ ...own, cookie: first }))).toContain("Max-Age=0");
    expect(sessions.operator(get({ ...own, cookie: first }))).toBeUndefined();
    expect(make().operator(get({ ...own, cookie: first }))).toBeUndefined();
    expect(sessions.operator(get({ ...own, cookie: second }))?.name).toBe("alice");
    time += 8 * 24 * 3_600_000;
    expect(sessions.operator(get({ ...own, cookie: second }))).toBeUndefined();
    const third = pair(sessions.open("alices token", post(own))?.cookie);
    operators.clear();
    expect(sessions.operator(get({ ...own, cookie: third }))).toBeUndefined();
  });

  it("keeps twenty for a token", () => {
    const { sessions, file } = setUp();
    const cookies = Array.from({ length: 25 }, () => pair(sessions.open("alices token", post(own))?.cookie));
    expect(JSON.parse(readFileSync(file, "utf8"))).toHaveLength(20);
    expect(sessions.operator(get({ ...own, cookie: cookies[0] ?? "" }))).toBeUndefined();
    expect(sessions.operator(get({ ...own, cookie: cookies[24] ?? "" }))?.name).toBe("alice");
  });
});

describe("a request that another page caused", () => {
  const { host, origin } = own;
  const page = "x-dropless-page";
  it.each<[string, string, Record<string, string>, boolean]>([
    ["the page itself changes something", "POST", { host, origin, [page]: "1" }, true],
    ["the same, as browsers say it", "PUT", { host, "sec-fetch-site": "same-origin", [page]: "1" }, true],
    ["a form of another site", "POST", { host, origin: "https://evil.example" }, false],
    ["a form without an Origin", "POST", { host }, false],
    ["the page's header without any origin", "DELETE", { host, [page]: "1" }, false],
    ["a sibling host name", "POST", { host, "sec-fetch-site": "same-site", [page]: "1" }, false],
    ["another site with the header", "POST", { host, origin: "https://evil.example", [page]: "1" }, false],
    ["an opaque origin", "POST", { host, origin: "null", [page]: "1" }, false],
    ["a form of the same host without the header", "POST", { host, origin }, false],
    ["reading by the page", "GET", { host, "sec-fetch-site": "same-origin" }, true],
    ["an address that was typed", "GET", { host, "sec-fetch-site": "none" }, true],
    ["an image on another site", "GET", { host, "sec-fetch-site": "cross-site" }, false],
    ["reading over plain HTTP", "GET", { host: "10.0.0.5:9000" }, true],
    ["a proxy that takes the port off Host", "POST", { host, origin: `${origin}:8443`, [page]: "1" }, true],
    [
      "a proxy that renames the host, named by publicUrl",
      "POST",
      { host: "127.0.0.1:9000", origin: "https://public.example", [page]: "1" },
      true,
    ],
  ])("%s (%s)", (_what, method, headers, counts) => {
    const { sessions } = setUp({ publicUrl: "https://public.example/_dropless" });
    const cookie = pair(sessions.open("alices token", post(own))?.cookie);
    expect(sessions.operator({ method, headers: { ...headers, cookie } }) !== undefined).toBe(counts);
  });
});

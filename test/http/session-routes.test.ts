import { describe, expect, it } from "vitest";
import { bench, operators } from "./bench.js";

const host = "deploy.example.com";
const own = { host, origin: `https://${host}`, "sec-fetch-site": "same-origin", "x-dropless-page": "1" };

describe("the page's session", () => {
  const signIn = async (world: Awaited<ReturnType<typeof bench>>, token: string) => {
    const answer = await world.inject("POST", "/session", { token: null, body: { token }, headers: own });
    const cookie = String(answer.headers["set-cookie"] ?? "").split(";")[0] ?? "";
    return { answer, headers: { ...own, cookie } };
  };

  it("is worth what its token is worth", async () => {
    const world = await bench();
    const reader = await signIn(world, operators.reader);
    expect(reader.answer).toMatchObject({
      status: 200,
      body: { operator: { name: "reader", scope: "read" } },
    });
    const { headers } = reader;
    expect((await world.inject("GET", "/apps", { token: null, headers })).status).toBe(200);
    expect((await world.inject("GET", "/session", { token: null, headers })).body.operator.name).toBe(
      "reader",
    );
    const asked = { token: null, headers, body: { app: "api" } };
    expect(await world.inject("POST", "/deploys", asked)).toMatchObject({ status: 403 });
    const deployer = await signIn(world, operators.deployer);
    expect(await world.inject("POST", "/deploys", { ...asked, headers: deployer.headers })).toMatchObject({
      status: 202,
    });
  });

  it("tells the page whether there are docs", async () => {
    for (const openapi of [true, false]) {
      const world = await bench({ more: { openapi } });
      const { body } = await world.inject("GET", "/session", { token: null });
      expect(body).toEqual(openapi ? { operator: null, docs: true } : { operator: null });
    }
  });

  it("is opened by the page only, and with an operator's token only", async () => {
    const world = await bench();
    const elsewhere = { ...own, "sec-fetch-site": "cross-site" };
    const body = { token: operators.admin };
    expect(await world.inject("POST", "/session", { token: null, body, headers: elsewhere })).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    for (const wrong of [{ token: "guessed" }, { token: "" }, {}, { token: 7 }]) {
      const answer = await world.inject("POST", "/session", { token: null, body: wrong, headers: own });
      expect(answer).toMatchObject({ status: 401, body: { code: "unauthorized" } });
      expect(answer.headers["set-cookie"]).toBeUndefined();
    }
  });

  it("counts for nothing when another page sends it", async () => {
    const world = await bench();
    const { headers } = await signIn(world, operators.admin);
    const forged = { ...headers, "sec-fetch-site": "same-site" };
    for (const [method, path] of [
      ["POST", "/apps/api/rollback"],
      ["POST", "/deploys"],
      ["DELETE", "/apps/api/hold"],
      ["GET", "/apps"],
    ] as const) {
      expect((await world.inject(method, path, { token: null, headers: forged })).status).toBe(401);
    }
    // A token that was sent is the one that counts, also when it is wrong.
    const both = await world.inject("GET", "/apps", { token: "guessed", headers });
    expect(both.status).toBe(401);
  });

  it("is over after sign-out, and guessing is slowed down", async () => {
    const world = await bench();
    const { headers } = await signIn(world, operators.admin);
    const out = await world.inject("DELETE", "/session", { token: null, headers });
    expect(String(out.headers["set-cookie"])).toContain("Max-Age=0");
    expect((await world.inject("GET", "/session", { token: null, headers })).body).toEqual({
      operator: null,
    });
    expect((await world.inject("GET", "/apps", { token: null, headers })).status).toBe(401);
    const statuses = new Set<number>();
    for (let i = 0; i < 70; i++) {
      const body = { token: `guess ${i}` };
      statuses.add((await world.inject("POST", "/session", { token: null, body, headers: own })).status);
    }
    expect([...statuses]).toEqual([401, 429]);
    expect((await signIn(world, operators.admin)).answer.status).toBe(200);
  });
});

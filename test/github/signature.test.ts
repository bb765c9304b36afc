import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bodyText, createVerifier } from "../../src/github/signature.js";

type Apps = Parameters<typeof createVerifier>[0];
const signedFor = async (headers: Record<string, string>, body: string, apps: Apps) =>
  createVerifier(apps)(headers, body);

const apps = [
  { name: "api", secrets: ["the-secret-of-api-0", "the-next-secret-api"] },
  { name: "web", secrets: ["the-secret-of-web-0"] },
  { name: "both", secrets: ["the-secret-of-api-0"] },
  { name: "none", secrets: [] },
];
const mac = (secret: string, body: string, algorithm = "sha256") =>
  createHmac(algorithm, secret).update(body).digest("hex");
const names = async (headers: Record<string, string>, body: string) => [
  ...(await signedFor(headers, body, apps)),
];
const refusal = async (headers: Record<string, string>, body = "{}") =>
  signedFor(headers, body, apps).then(
    () => expect.fail("it was accepted"),
    (fault) => {
      expect(fault.code).toBe("not_signed");
      return `${fault.message} ${fault.hint}`;
    },
  );

describe("signature", () => {
  it("verifies GitHub's published test vector", async () => {
    const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const app = { name: "octo", secrets: ["It's a Secret to Everybody"] };
    const signed = await signedFor({ "x-hub-signature-256": signature }, "Hello, World!", [app]);
    expect([...signed]).toEqual(["octo"]);
  });

  it("authorises the apps of the secret that signed, and no others", async () => {
    const sign = (secret: string) => ({ "x-hub-signature-256": `sha256=${mac(secret, "{}")}` });
    expect(await names(sign("the-secret-of-api-0"), "{}")).toEqual(["api", "both"]);
    expect(await names(sign("the-next-secret-api"), "{}")).toEqual(["api"]);
    expect(await names(sign("the-secret-of-web-0"), "{}")).toEqual(["web"]);
  });

  it("lets others have their turn between the secrets of many apps", async () => {
    const many = Array.from({ length: 50 }, (_, n) => ({
      name: `app${n}`,
      secrets: [`the-secret-of-app-${n}`],
    }));
    let turns = 0;
    let next = setImmediate(() => {});
    const turn = () => {
      turns++;
      next = setImmediate(turn);
    };
    turn();
    const body = "x".repeat(300_000);
    const signed = await signedFor(
      { "x-hub-signature-256": `sha256=${mac("the-secret-of-app-7", body)}` },
      body,
      many,
    );
    clearImmediate(next);
    expect([...signed]).toEqual(["app7"]);
    expect(turns).toBeGreaterThan(25);
  });

  it("takes the same value under X-Hub-Signature only where the better header is absent", async () => {
    const good = `sha256=${mac("the-secret-of-web-0", "{}")}`;
    expect(await names({ "x-hub-signature": good }, "{}")).toEqual(["web"]);
    await refusal({ "x-hub-signature": good, "x-hub-signature-256": `sha256=${"0".repeat(64)}` });
    await refusal({ "x-hub-signature": good, "x-hub-signature-256": "" });
  });

  it("refuses everything else, and says what to do", async () => {
    const secret = "the-secret-of-web-0";
    expect(await refusal({})).toContain("no signature");
    expect(await refusal({ "x-hub-signature": `sha1=${mac(secret, "{}", "sha1")}` })).toContain("SHA-1");
    expect(await refusal({ "x-hub-signature-256": `sha256=${mac(secret, "{}").slice(0, 63)}` })).toContain(
      "cut off",
    );
    expect(await refusal({ "x-hub-signature-256": mac(secret, "{}") })).toContain("sha256=");
    expect(await refusal({ "x-hub-signature-256": `sha256=${mac("another secret of me", "{}")}` })).toContain(
      "differ",
    );
    for (const form of [secret, `sha256=${secret}`]) {
      const told = await refusal({ "x-hub-signature-256": form });
      expect(told).toContain("HMAC-SHA256 of the raw body");
      expect(told).toContain("Make a new secret");
      expect(told).not.toContain(secret);
    }
  });

  it("is never valid for a body changed by one byte", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (bytes, at, by) => {
          const body = Buffer.from(Buffer.from(bytes).toString());
          const changed = Buffer.from(body);
          const index = at % body.length;
          changed[index] = ((changed[index] ?? 0) + by) % 256;
          const header = { "x-hub-signature-256": `sha256=${mac("the-secret-of-web-0", body.toString())}` };
          expect([...(await signedFor(header, bodyText(body), apps))]).toEqual(["web"]);
          await expect((async () => signedFor(header, bodyText(changed), apps))()).rejects.toMatchObject({
            code: expect.stringMatching(/^(not_signed|unreadable)$/),
          });
        },
      ),
    );
  });

  it("meets any header with a refusal, never with another error", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 300 }), fc.boolean(), async (value, modern) => {
        await refusal({ [modern ? "x-hub-signature-256" : "x-hub-signature"]: value });
      }),
      { numRuns: 500 },
    );
  });

  it("keeps the bytes: text that is decoded encodes to the same body, or is unreadable", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const raw = Buffer.from(bytes);
        try {
          expect(Buffer.from(bodyText(raw)).equals(raw)).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: "unreadable" });
          expect(raw.length === 0 || !Buffer.from(raw.toString()).equals(raw)).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
    expect(bodyText(Buffer.from("\ufeff{}"))).toBe("\ufeff{}");
  });
});

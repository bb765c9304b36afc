import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { receiver } from "./receiver.js";

/** An issuer as GitHub's: it publishes its keys, and signs tokens with the newest. */
export async function issuer() {
  const keys: { kid: string; pair: Awaited<ReturnType<typeof generateKeyPair>> }[] = [];
  const rotate = async () => {
    const pair = await generateKeyPair("RS256", { extractable: true });
    keys.splice(0, keys.length, { kid: `key-${Math.random()}`, pair });
  };
  await rotate();
  let published: unknown = {};
  const publish = async () => {
    published = {
      keys: await Promise.all(
        keys.map(async ({ kid, pair }) => ({
          ...(await exportJWK(pair.publicKey)),
          kid,
          alg: "RS256",
          use: "sig",
        })),
      ),
    };
  };
  await publish();
  let up = true;
  const { url, got } = await receiver(({ path }) =>
    up && path === "/.well-known/jwks" ? { status: 200, body: published } : { status: up ? 404 : 500 },
  );
  let made = 0;
  const token = async (
    claims: Record<string, unknown> = {},
    more: { expires?: number; header?: object } = {},
  ) => {
    const now = Math.floor(Date.now() / 1000);
    const [key] = keys;
    const jwt = new SignJWT({
      iss: url,
      aud: "dropless-test",
      sub: "repo:acme/api:ref:refs/heads/main",
      repository: "acme/api",
      ref: "refs/heads/main",
      workflow_ref: "acme/api/.github/workflows/deploy.yml@refs/heads/main",
      jti: `jti-${++made}`,
      iat: now,
      nbf: now - 5,
      exp: more.expires ?? now + 300,
      ...claims,
    });
    return jwt
      .setProtectedHeader({ alg: "RS256", kid: key?.kid ?? "", ...more.header })
      .sign(key?.pair.privateKey as never);
  };
  return {
    url,
    got,
    token,
    async rotate() {
      await rotate();
      await publish();
    },
    forge: rotate,
    set up(is: boolean) {
      up = is;
    },
  };
}

/**
 * The sample app of the benchmarks of deploys: Express in TypeScript with a few hundred packages. Its dependencies
 * are pinned; the lockfiles are made at the start by the npm and the registry that this machine is configured with,
 * into a private cache, which all sides use warm.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { endOnInterrupt } from "./interrupt.js";

const exec = promisify(execFile);

/** Each lockfile has another of these: what a bump of one dependency changes. */
const bumped = ["dayjs", [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0].map((patch) => `1.11.${patch}`)];

const few = { typescript: "5.8.3", "@types/node": "22.15.30" };
const many = {
  dependencies: {
    "@types/express": "5.0.3",
    axios: "1.9.0",
    ejs: "3.1.10",
    express: "5.1.0",
    helmet: "8.1.0",
    ioredis: "5.6.1",
    jsonwebtoken: "9.0.2",
    knex: "3.1.0",
    lodash: "4.17.21",
    mongodb: "6.17.0",
    nodemailer: "7.0.3",
    pg: "8.16.0",
    pino: "9.7.0",
    "socket.io": "4.8.1",
    winston: "3.17.0",
    zod: "3.25.67",
  },
  devDependencies: {
    ...few,
    eslint: "9.28.0",
    mocha: "11.5.0",
    prettier: "3.5.3",
    supertest: "7.1.1",
    webpack: "5.99.9",
  },
};

const manifest = (lock, tiny) => {
  const { dependencies, devDependencies } = tiny ? { dependencies: {}, devDependencies: few } : many;
  return `${JSON.stringify(
    {
      name: "sample",
      version: "1.0.0",
      private: true,
      scripts: { build: "tsc -p ." },
      dependencies: { ...dependencies, [bumped[0]]: bumped[1][lock] },
      devDependencies,
    },
    null,
    2,
  )}\n`;
};

/** A module as an app has dozens of, so that the compiler has something to do. */
const module = (n, tiny) => `${tiny ? "" : 'import { z } from "zod";\n'}
export interface Item${n} { id: number; name: string; tags: string[]; price: number; created: string }
${tiny ? "" : `export const item${n} = z.object({ id: z.number(), name: z.string().min(1), tags: z.array(z.string()), price: z.number() });\n`}
export function list${n}(count: number): Item${n}[] {
  return Array.from({ length: count }, (_, id) => ({
    id, name: \`item \${id} of ${n}\`, tags: ["a", "b", String(id % 7)], price: (id * 37) % 1000, created: new Date(id * 1e9).toISOString(),
  }));
}
export const total${n} = (items: Item${n}[]): number => items.filter(({ tags }) => tags.includes("3")).reduce((sum, { price }) => sum + price, 0);
`;

const server = (
  modules,
  tiny,
) => `${tiny ? "" : 'import express from "express";\nimport pino from "pino";\nimport { MongoClient } from "mongodb";\n'}
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { release } from "./release";
${Array.from({ length: modules }, (_, n) => `import { list${n}, total${n} } from "./items/m${n}";`).join("\n")}
const all = [${Array.from({ length: modules }, (_, n) => `() => total${n}(list${n}(20))`).join(", ")}];
const answer = () => JSON.stringify({ release, sums: all.map((sum) => sum()), items: list0(50) });
${
  tiny
    ? "const server = createServer((req, res) => { res.end(answer()); });"
    : `const log = pino({ level: "warn" });
const app = express();
app.get("/healthz", (_req, res) => { res.send("ok"); });
app.get("/", (_req, res) => { res.type("json").send(answer()); });
const server = createServer(app);
log.debug({ mongodb: typeof MongoClient });`
}
server.listen(Number(process.env.PORT), () => {
  const trace = process.env.BENCH_TRACE;
  if (trace) appendFileSync(trace, \`boot \${Math.round(performance.timeOrigin)} \${Date.now()}\\n\`);
  process.send?.("ready");
  if (process.env.BENCH_SAY) console.log("listening");
});
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => { server.close(() => process.exit(0)); setTimeout(() => process.exit(1), 6000); });
`;

/** What npm needs to find its registry with another HOME than that of whoever starts the benchmark. */
async function npmEnv(cache) {
  const { stdout } = await exec("npm", ["config", "get", "userconfig"]);
  const own = Object.entries(process.env).filter(([name]) =>
    /^npm_config_(registry|cafile|.*:.*)$/i.test(name),
  );
  return {
    ...Object.fromEntries(own),
    npm_config_userconfig: stdout.trim(),
    npm_config_cache: cache,
    npm_config_update_notifier: "false",
    npm_config_audit: "false",
    npm_config_fund: "false",
  };
}

/**
 * `locks` lockfiles, and a cache that has all they need. `files(code, lock)`: a commit's files; another `code` is
 * another release, another `lock` another lockfile.
 */
export async function createSample({ tiny, locks, log }) {
  const dir = mkdtempSync(join(tmpdir(), "dropless-sample-"));
  const over = new AbortController();
  let running;
  const end = async () => {
    over.abort();
    await running?.catch(() => {});
    rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  const forget = endOnInterrupt(end);
  const env = await npmEnv(join(dir, "cache"));
  const npm = (args, cwd) => {
    const settings = { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26, timeout: 600_000 };
    running = exec("npm", args, { ...settings, signal: over.signal });
    return running;
  };
  const modules = tiny ? 1 : 60;
  const texts = [];
  let packages = 0;
  try {
    const work = join(dir, "work");
    mkdirSync(work);
    for (let lock = 0; lock < locks; lock++) {
      writeFileSync(join(work, "package.json"), manifest(lock, tiny));
      await npm(["install", "--package-lock-only", "--ignore-scripts", "--prefer-offline"], work);
      texts.push(readFileSync(join(work, "package-lock.json"), "utf8"));
      // The first time all of it, then what is new.
      if (lock === 0) await npm(["ci", "--ignore-scripts"], work);
      else await npm(["cache", "add", `${bumped[0]}@${bumped[1][lock]}`], work);
    }
    packages = Object.keys(JSON.parse(texts[0]).packages).length - 1;
    rmSync(work, { recursive: true, force: true });
    log(`the sample app has ${packages} packages; ${locks} lockfiles, npm's cache is warm`);
  } catch (error) {
    forget();
    await end();
    throw error;
  }
  return {
    packages,
    /** For npm, on every side alike. */
    env,
    files(code, lock) {
      const files = {
        ".gitignore": "node_modules\ndist\n",
        "package.json": manifest(lock, tiny),
        "package-lock.json": texts[lock],
        "tsconfig.json": JSON.stringify({
          compilerOptions: {
            target: "es2022",
            module: "commonjs",
            moduleResolution: "node10",
            outDir: "dist",
            rootDir: "src",
            strict: true,
            esModuleInterop: true,
            skipLibCheck: true,
            types: ["node"],
          },
          include: ["src"],
        }),
        "ecosystem.config.js": `module.exports = {
  apps: [{ name: "sample", script: "dist/server.js", instances: 2, exec_mode: "cluster" }],
};
`,
        "src/release.ts": `export const release = "r${code}";\n`,
        "src/server.ts": server(modules, tiny),
      };
      for (let n = 0; n < modules; n++) files[`src/items/m${n}.ts`] = module(n, tiny);
      return files;
    },
    async end() {
      forget();
      await end();
    },
  };
}

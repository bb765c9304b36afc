/**
 * A process of its own that reads one ecosystem file (its path is the argument) and sends its apps to the
 * parent. The file is a program of the user's: it sees the app's environment and nothing of the daemon's.
 */
import { readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import { dirname, extname } from "node:path";
import { pathToFileURL } from "node:url";
import { runInThisContext } from "node:vm";

const [file = ""] = process.argv.slice(2);

/** Under `"type": "module"` a CommonJS `.js` file cannot be imported, yet PM2 users have it. */
function asCommonJs(source: string): unknown {
  const module = new Module(file) as Module & { _compile(source: string, file: string): void };
  module.filename = file;
  module.paths = (Module as unknown as { _nodeModulePaths(from: string): string[] })._nodeModulePaths(
    dirname(file),
  );
  module._compile(source, file);
  return module.exports;
}

async function load(): Promise<unknown> {
  const source = readFileSync(file, "utf8");
  // As PM2 does: comments and trailing commas are allowed.
  if (extname(file) === ".json") return runInThisContext(`(${source})`);
  if (/\.ya?ml$/.test(file)) return createRequire(import.meta.url)("yaml").parse(source);
  try {
    const loaded = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
    return loaded.default ?? loaded;
  } catch (error) {
    if (
      extname(file) === ".js" &&
      /\b(module|exports|require|__dirname|__filename) is not defined/.test(String(error))
    ) {
      return asCommonJs(source);
    }
    throw error;
  }
}

try {
  const loaded = (await load()) as Record<string, unknown>;
  const value = typeof loaded === "function" ? (loaded as () => unknown)() : loaded;
  const config = ((await value) ?? {}) as Record<string, unknown>;
  const apps = [config.apps ?? config.pm2 ?? config].flat();
  process.send?.({
    apps: apps.filter((one) => one && typeof one === "object" && Object.keys(one).length > 0),
  });
} catch (error) {
  process.send?.({ error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
}
process.disconnect?.();

/**
 * Preloaded (`--import`) into the daemon by kills.js and soak.js, which speak to it over IPC: names every seam at
 * which a `kill -9` could matter (before and after each durable write, each command, each call to PM2) and kills the
 * process at the one it was told, as exactly as the kernel would by chance. The daemon itself knows nothing of it.
 */
import child_process from "node:child_process";
import fs from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";

const require = createRequire(import.meta.url);
const traceFile = process.env.SOAK_TRACE;
let seen = new Map();
/** `label#n`: at the n-th time that this seam is passed; `time#ms`: that long after it was told. */
let target = process.env.SOAK_KILL_AT;
const die = (seam) => {
  if (traceFile) fs.writeSync(trace, `${seam} KILLED\n`);
  process.kill(process.pid, "SIGKILL");
};
const trace = traceFile ? fs.openSync(traceFile, "a") : undefined;

function pass(label) {
  const count = (seen.get(label) ?? 0) + 1;
  seen.set(label, count);
  const seam = `${label}#${count}`;
  if (seam === target) die(seam);
  if (trace !== undefined) write(trace, `${seam}\n`);
}
const write = fs.writeSync;

let timer;
function aim(seam) {
  seen = new Map();
  target = seam;
  clearTimeout(timer);
  if (seam?.startsWith("time#")) timer = setTimeout(() => die(seam), Number(seam.slice(5)));
}
aim(target);
process.on("message", (message) => {
  if (!message || !("aim" in message)) return;
  aim(message.aim);
  if (trace !== undefined) fs.ftruncateSync(trace);
  process.send({ aimed: true });
});
process.channel?.unref();

/** Both sides of a synchronous call. */
function around(object, name, labelOf = () => name) {
  const original = object[name];
  object[name] = function (...args) {
    const label = labelOf(...args);
    if (label === undefined) return original.apply(this, args);
    pass(`${label} before`);
    const result = original.apply(this, args);
    pass(`${label} after`);
    return result;
  };
}
const place = (path) => {
  const text = String(path);
  if (/releases\/[^/]+$/.test(text)) return "release";
  return basename(text).replace(/\d{8}T\d+.*|[\da-z]{16,}/g, "*");
};
around(fs, "fsyncSync");
around(fs, "renameSync", (from) => `rename ${place(from)}`);
around(fs, "symlinkSync", (_, to) => (String(to).endsWith(".current.next") ? "symlink current" : undefined));
around(fs, "mkdirSync", (path) => (/releases\/[^/]+$/.test(String(path)) ? "mkdir release" : undefined));
around(fs, "writeFileSync", (path, _, options) => (options?.flush ? `write ${place(path)}` : undefined));
around(fs, "rmSync", (path) => `rm ${place(path)}`);
for (const name of ["rm", "truncate"]) {
  const original = fs.promises[name];
  fs.promises[name] = async (path, ...rest) => {
    pass(`${name} ${/trash/.test(path) ? "trash" : place(path)} before`);
    const result = await original(path, ...rest);
    pass(`${name} ${/trash/.test(path) ? "trash" : place(path)} after`);
    return result;
  };
}

/** SQLite's classes cannot be changed, so the daemon gets one made of them. */
function watched({ DatabaseSync, ...others }) {
  let inTransaction = false;
  class Watched extends DatabaseSync {
    exec(sql) {
      if (sql !== "COMMIT") {
        super.exec(sql);
        if (sql === "BEGIN IMMEDIATE") inTransaction = true;
        if (sql === "ROLLBACK") inTransaction = false;
        return;
      }
      pass("commit before");
      super.exec(sql);
      inTransaction = false;
      pass("commit after");
    }
    prepare(sql) {
      const statement = super.prepare(sql);
      if (!/^\s*(INSERT|UPDATE|DELETE)/.test(sql)) return statement;
      const run = statement.run.bind(statement);
      const value = (...values) => {
        if (inTransaction) return run(...values);
        pass("write before");
        const result = run(...values);
        pass("write after");
        return result;
      };
      return Object.defineProperty(statement, "run", { value });
    }
  }
  return { ...others, DatabaseSync: Watched };
}
const own = process.getBuiltinModule?.("node:sqlite");
if (own) {
  const builtin = process.getBuiltinModule;
  const instead = watched(own);
  process.getBuiltinModule = (name) => (name === "node:sqlite" ? instead : builtin(name));
} else {
  const name = require.resolve("@photostructure/sqlite");
  const instead = watched(require(name));
  require.cache[name].exports = instead;
}

const spawn = child_process.spawn;
child_process.spawn = (file, args, ...rest) => {
  const words = [file, ...(Array.isArray(args) ? args : [])].join(" ");
  const label = /git$/.test(file) ? "git" : (/step-\w+/.exec(words)?.[0] ?? basename(String(file)));
  pass(`spawn ${label} before`);
  const child = spawn(file, args, ...rest);
  pass(`spawn ${label} after`);
  child.once("exit", () => pass(`spawn ${label} ended`));
  return child;
};
const fork = child_process.fork;
child_process.fork = (file, ...rest) => {
  const child = fork(file, ...rest);
  if (!String(file).endsWith("worker.js")) return child;
  const calls = new Map();
  const send = child.send.bind(child);
  child.send = (message, ...more) => {
    calls.set(message.id, message.call);
    pass(`pm2 ${message.call} before`);
    const result = send(message, ...more);
    pass(`pm2 ${message.call} sent`);
    return result;
  };
  child.prependListener("message", (reply) => {
    if (reply?.id !== undefined) pass(`pm2 ${calls.get(reply.id)} answered`);
  });
  return child;
};
syncBuiltinESMExports();

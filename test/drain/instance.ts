import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { freePort, tempDir } from "../support/temp.js";

const preload = fileURLToPath(new URL("../../dist/drain/preload.cjs", import.meta.url));

interface Message {
  type: string;
  data: Record<string, unknown>;
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface DirectInstance {
  child: ChildProcess;
  port: number;
  messages: Message[];
  output(): string;
  /** The first message of that type, also one that came before. */
  message(type: string, matches?: (data: Message["data"]) => boolean): Promise<Message["data"]>;
  /** Stops it and waits until it has noticed. */
  stop(how?: "SIGINT" | "SIGTERM" | "shutdown"): Promise<void>;
  ended: Promise<Ended>;
}

interface InstanceOptions {
  env?: Record<string, string>;
  /** `mjs` for an ES module. */
  type?: "cjs" | "mjs";
  /** An app that is written already, instead of `code`. */
  script?: string;
  port?: number;
  /** `false`: does not wait for `dropless:listening`. */
  listens?: boolean;
}

/** One process of an app with the preload, without PM2. In `code`, `port` and `say(text)` are there. */
export async function startInstance(code: string, options: InstanceOptions = {}): Promise<DirectInstance> {
  const port = options.port ?? (await freePort());
  const script = options.script ?? join(tempDir("drain"), `app.${options.type ?? "cjs"}`);
  if (!options.script)
    writeFileSync(
      script,
      `const port = ${port}; const say = (text) => require("node:fs").writeSync(1, text + "\\n");\n${code}`,
    );
  const child = spawn(process.execPath, ["--require", preload, script], {
    env: { PATH: process.env.PATH, DROPLESS_PORT: String(port), PORT: String(port), ...options.env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let output = "";
  child.stdout?.on("data", (text) => {
    output += text;
  });
  child.stderr?.on("data", (text) => {
    output += text;
  });
  // Not `close`: it does not come to a child whose channel was disconnected from here.
  const printed = [child.stdout, child.stderr].map((stream) => stream && finished(stream));
  const ended = once(child, "exit").then(async ([code, signal]): Promise<Ended> => {
    await Promise.allSettled(printed);
    return { code, signal };
  });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });

  const messages: Message[] = [];
  child.on("message", (message) => messages.push(message as Message));
  const instance: DirectInstance = {
    child,
    port,
    messages,
    output: () => output,
    ended,
    message: (type, matches = () => true) =>
      new Promise((resolve, reject) => {
        const fits = (message: Message) => message.type === type && matches(message.data);
        const before = messages.find(fits);
        if (before) return resolve(before.data);
        const onMessage = (message: unknown) => {
          if (!fits(message as Message)) return;
          child.off("message", onMessage);
          resolve((message as Message).data);
        };
        child.on("message", onMessage);
        child.once("exit", () => reject(new Error(`it ended before ${type}: ${output}`)));
      }),
    async stop(how = "SIGINT") {
      if (how === "shutdown") child.send("shutdown");
      else child.kill(how);
      await instance.message("dropless:draining");
    },
  };
  if (options.listens !== false) await instance.message("dropless:listening");
  return instance;
}

export interface RawConnection {
  send(text: string): void;
  /** Everything that has come, once it holds `text`; rejects when the connection ends before. */
  until(text: string | RegExp): Promise<string>;
  /** Everything that has come, once the other side has ended; rejects on a reset. */
  closed: Promise<string>;
  received(): string;
  destroy(): void;
}

/** A connection whose bytes the test chooses. */
export async function openRaw(port: number, path?: string): Promise<RawConnection> {
  const socket = path ? connect(path) : connect(port, "127.0.0.1");
  onTestFinished(() => {
    socket.destroy();
  });
  let text = "";
  const waiting = new Set<() => void>();
  socket.on("data", (chunk) => {
    text += chunk;
    for (const check of waiting) check();
  });
  const closed = new Promise<string>((resolve, reject) => {
    socket.once("end", () => resolve(text));
    socket.once("error", reject);
  });
  // A test that does not look at the end is not to fail by it.
  closed.catch(() => {});
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return {
    send: (part) => socket.write(part),
    closed,
    received: () => text,
    destroy: () => socket.destroy(),
    until: (part) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (typeof part === "string" ? !text.includes(part) : !part.test(text)) return;
          waiting.delete(check);
          resolve(text);
        };
        waiting.add(check);
        closed.then(
          () => reject(new Error(`ended without ${part}: ${text}`)),
          (error) => reject(error),
        );
        check();
      }),
  };
}

export const get = (path: string, headers = ""): string =>
  `GET ${path} HTTP/1.1\r\nHost: app\r\n${headers}\r\n`;

/** A request in flight for as long as the test wants: it is answered once `finish` has come. */
export const begun = {
  begin: "POST /begun HTTP/1.1\r\nHost: app\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\na",
  finish: "bc",
};

/** Connections are accepted in order: every one opened before is the app's once a later one is answered. */
export async function allAccepted(port: number): Promise<void> {
  const raw = await openRaw(port);
  raw.send(get("/accepted", "Connection: close\r\n"));
  await raw.closed;
}

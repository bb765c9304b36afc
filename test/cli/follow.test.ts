import { describe, expect, it } from "vitest";
import { type Followable, follow } from "../../src/cli/follow.js";
import type { View } from "../../src/cli/view/view.js";
import { Fault } from "../../src/domain/fault.js";
import type { DeployEvent, DeployView } from "../../src/http/wire.js";

const deploy = (id: string, more: Partial<DeployView> = {}): DeployView => ({
  id,
  app: "api",
  status: "running",
  trigger: "push",
  ref: "refs/heads/main",
  commit: { sha: "ab12cd34".repeat(5), message: "A change", author: "Ada" },
  createdAt: "2026-01-01T00:00:00.000Z",
  startedAt: null,
  finishedAt: null,
  steps: [],
  attempt: 1,
  logTail: [],
  urls: { self: "", logs: "", events: "" },
  ...more,
});

const line = (id: string, number: number): DeployEvent => ({
  event: "log",
  id: String(number),
  deploy: id,
  data: { line: number, text: `line ${number}`, stream: "stdout", step: "build", time: "" },
});
const end = (of: DeployView): DeployEvent => ({ event: "end", id: "99", deploy: of.id, data: of });

function recorder() {
  const seen: string[] = [];
  const view: View = {
    begin: ({ id }) => void seen.push(`begin ${id}`),
    event: (event) => void seen.push(event.event === "log" ? event.data.text : event.event),
    update: ({ id }) => void seen.push(`update ${id}`),
    lost: () => void seen.push("lost"),
    back: () => void seen.push("back"),
    note: () => void seen.push("note"),
    end: () => void seen.push("end"),
    close: () => void seen.push("close"),
  };
  return { seen, view };
}

const away = () => new Fault("no_daemon", "Nobody answers", "");

describe("following a deploy", () => {
  it("goes on behind the last line after the daemon was away, and says so", async () => {
    const asked: (string | undefined)[] = [];
    const client: Followable = {
      get: async (id) => deploy(id),
      async *followEvents(id, { after }) {
        asked.push(after);
        if (asked.length === 1) {
          yield line(id, 1);
          yield line(id, 2);
          throw away();
        }
        if (asked.length === 2) throw away();
        yield line(id, 3);
        yield end(deploy(id, { status: "succeeded" }));
      },
    };
    const { seen, view } = recorder();
    const ended = await follow("a", { client, view, firstPauseMs: 1 });
    expect(ended.status).toBe("succeeded");
    expect(asked).toEqual([undefined, "2", "2"]);
    expect(seen).toEqual(["begin a", "line 1", "line 2", "lost", "back", "line 3"]);
  });

  it("goes through the deploys that supersede it, to the last", async () => {
    const client: Followable = {
      get: async (id) => deploy(id),
      async *followEvents(id) {
        if (id === "a") yield end(deploy("a", { status: "superseded", supersededBy: "b" }));
        else yield end(deploy("b", { status: "failed" }));
      },
    };
    const { seen, view } = recorder();
    const ended = await follow("a", { client, view });
    expect(ended).toMatchObject({ id: "b", status: "failed" });
    expect(seen).toEqual(["begin a", "note", "begin b"]);
  });

  it("gives up when the daemon stays away, with the daemon's absence as the reason", async () => {
    const client: Followable = {
      get: async () => {
        throw away();
      },
      async *followEvents() {},
    };
    const { view } = recorder();
    await expect(follow("a", { client, view, patienceMs: 5, firstPauseMs: 5 })).rejects.toMatchObject({
      code: "no_daemon",
    });
  });

  it("does not wait for what waiting cannot cure", async () => {
    const client: Followable = {
      get: async () => {
        throw new Fault("unauthorized", "No", "");
      },
      async *followEvents() {},
    };
    await expect(follow("a", { client, view: recorder().view })).rejects.toMatchObject({
      code: "unauthorized",
    });
  });

  it("stops at once when it is interrupted while it waits", async () => {
    const interrupt = new AbortController();
    const client: Followable = {
      get: async () => {
        throw away();
      },
      async *followEvents() {},
    };
    const view = { ...recorder().view, lost: () => interrupt.abort() };
    const following = follow("a", { client, view, signal: interrupt.signal, firstPauseMs: 60_000 });
    await expect(following).rejects.toMatchObject({ code: "interrupted" });
  });
});

it("learns the commit once it is fetched", async () => {
  const fetched: DeployEvent = {
    event: "step",
    id: "5",
    deploy: "a",
    data: { name: "fetch", status: "succeeded", time: "" },
  };
  const client: Followable = {
    get: async (id) => deploy(id),
    async *followEvents(id) {
      yield fetched;
      yield end(deploy(id, { status: "succeeded" }));
    },
  };
  const { seen, view } = recorder();
  await follow("a", { client, view });
  expect(seen).toEqual(["begin a", "step", "update a"]);
});

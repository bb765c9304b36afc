import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createReleases } from "../../src/adapters/releases.js";
import { memoryLog } from "../support/log.js";
import { tempDir } from "../support/temp.js";

const sha = "ab12cd3".padEnd(40, "0");

function setUp(options: { shared?: string[]; reserveBytes?: number } = {}) {
  const dir = tempDir();
  const root = join(dir, "api");
  const preload = join(dir, "drain");
  mkdirSync(preload);
  writeFileSync(join(preload, "preload.cjs"), "// drains");
  writeFileSync(join(preload, "stop.cjs"), "// its part");
  let time = Date.parse("2026-11-21T20:05:53.000Z");
  const releases = createReleases({
    app: { root, shared: options.shared ?? [] },
    now: () => new Date(time),
    preload,
    reserveBytes: options.reserveBytes ?? 0,
  });
  const built = () => {
    time += 1_000;
    const release = releases.create(sha);
    releases.furnish(release, memoryLog());
    releases.markBuilt(release, sha);
    return release.name;
  };
  return { dir, root, releases, built };
}

test("a release is named by time and commit; one of the same second gets a number", () => {
  const { root, releases } = setUp();
  expect(releases.create(sha)).toEqual({
    name: "20261121T200553-ab12cd3",
    path: join(root, "releases/20261121T200553-ab12cd3"),
  });
  expect(releases.create(sha).name).toBe("20261121T200553-ab12cd3-2");
});

test("a half-built one is told from a whole one by its marker", () => {
  const { releases } = setUp();
  const release = releases.create(sha);
  releases.furnish(release, memoryLog());
  expect(releases.built(release.name)).toBeUndefined();
  releases.markBuilt(release, sha);
  expect(releases.built(release.name)).toMatchObject({ sha });
  expect(readFileSync(join(release.path, ".dropless/preload.cjs"), "utf8")).toBe("// drains");
  expect(existsSync(join(release.path, ".dropless/stop.cjs"))).toBe(true);
});

test.each(["..", "../shared", "", ".", "20261121T200553-ab12cd3/../../x", "current"])(
  "%j is no release, and nothing is removed by that name",
  async (name) => {
    const { releases, built, root } = setUp();
    const whole = built();
    mkdirSync(join(root, "shared"));
    expect(releases.find(name)).toBeUndefined();
    expect(releases.built(name)).toBeUndefined();
    await releases.discard(name);
    expect(readdirSync(join(root, "releases"))).toEqual([whole]);
    expect(existsSync(join(root, "shared"))).toBe(true);
  },
);

test("`current` is switched by renaming a link, and goes when nothing is live", () => {
  const { root, releases, built } = setUp();
  const [one, two] = [built(), built()];
  expect(releases.current()).toBeUndefined();
  for (const name of [one, two, two, one]) {
    releases.activate(releases.find(name));
    expect(readlinkSync(join(root, "current"))).toBe(`releases/${name}`);
    expect(releases.current()).toBe(name);
  }
  releases.activate(undefined);
  expect(lstatSync(join(root, "current"), { throwIfNoEntry: false })).toBeUndefined();
});

test("prune keeps the newest and whom it is told to spare; what it throws away, and what a crash left, goes", async () => {
  const { root, releases, built } = setUp();
  const names = [built(), built(), built(), built(), built()];
  const half = releases.create("f".repeat(40)).name;
  mkdirSync(join(root, "releases", ".trash-20200101T000000-aaaaaaa", "deep"), { recursive: true });
  writeFileSync(join(root, "releases", "notes.txt"), "a person's own");
  const gone = await releases.prune(2, new Set([names[0] ?? ""]));
  expect(gone.sort()).toEqual([names[1], names[2], half].sort());
  for (const name of gone) expect(releases.find(name)).toBeUndefined();
  expect(releases.whole()).toEqual([names[0], names[3], names[4]]);
  await releases.sweep();
  expect(readdirSync(join(root, "releases")).sort()).toEqual([names[0], names[3], names[4], "notes.txt"]);
});

test("room on the disk is looked at before anything is built, and the figures are told", () => {
  const { releases } = setUp({ reserveBytes: 2 ** 60 });
  expect(() => releases.create(sha)).toThrowError(
    expect.objectContaining({
      code: "disk_full",
      message: expect.stringMatching(/\d+ MB are free, 1099511627776 MB are needed/),
    }),
  );
});

describe("shared", () => {
  const furnished = (shared: string[], prepare: (root: string, release: string) => void = () => {}) => {
    const { root, releases } = setUp({ shared });
    const release = releases.create(sha);
    mkdirSync(join(root, "shared"), { recursive: true });
    prepare(root, release.path);
    const log = memoryLog();
    const furnish = () => releases.furnish(release, log);
    return { root, path: release.path, log, furnish };
  };

  test("files and folders are linked in place of what the commit brings; a missing folder is made", () => {
    const { root, path, log, furnish } = furnished([".env", "uploads/", "var/cache/"], (root, release) => {
      writeFileSync(join(root, "shared/.env"), "KEY=1");
      mkdirSync(join(release, "uploads"));
      writeFileSync(join(release, "uploads/.gitkeep"), "");
      writeFileSync(join(release, ".env"), "from the commit");
    });
    furnish();
    furnish();
    expect(readFileSync(join(path, ".env"), "utf8")).toBe("KEY=1");
    writeFileSync(join(path, "uploads/new"), "");
    writeFileSync(join(path, "var/cache/new"), "");
    expect(readdirSync(join(root, "shared/uploads"))).toEqual(["new"]);
    expect(readdirSync(join(root, "shared/var/cache"))).toEqual(["new"]);
    expect(log.text()).toContain("Made the shared folder");
  });

  test("a missing file is told, and what the commit brings stays", () => {
    const { path, log, furnish } = furnished([".env"], (_, release) =>
      writeFileSync(join(release, ".env"), "from the commit"),
    );
    furnish();
    expect(readFileSync(join(path, ".env"), "utf8")).toBe("from the commit");
    expect(log.text()).toMatch(/Warning: .*shared\/\.env does not exist/);
  });

  test("a link in the repository is replaced, never written through", () => {
    let outside = "";
    const { path, furnish } = furnished(["uploads/"], (root, release) => {
      outside = join(root, "..", "outside");
      mkdirSync(outside);
      writeFileSync(join(outside, "keep"), "");
      symlinkSync(outside, join(release, "uploads"));
      symlinkSync(outside, join(release, ".dropless"));
    });
    furnish();
    expect(readdirSync(outside)).toEqual(["keep"]);
    expect(realpathSync(join(path, ".dropless"))).toBe(join(realpathSync(path), ".dropless"));
  });

  test.each(["", "/nowhere"])("a path below a link that leads out is refused", (suffix) => {
    let outside = "";
    const { furnish } = furnished(["data/uploads/"], (root, release) => {
      outside = join(root, "..", "outside");
      mkdirSync(outside);
      symlinkSync(outside + suffix, join(release, "data"));
    });
    expect(furnish).toThrowError(expect.objectContaining({ code: "shared_outside" }));
    expect(readdirSync(outside)).toEqual([]);
  });
});

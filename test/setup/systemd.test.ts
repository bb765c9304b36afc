import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { repositoryRoot } from "../support/pages.ts";
import { tempDir } from "../support/temp.ts";
import { canTest, findTool } from "../support/tools.ts";

const file = join(repositoryRoot, "scripts/systemd/dropless.service");
const text = readFileSync(file, "utf8");
const value = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1];

/** What systemd itself says of a unit; a mistake is told on stderr only, the exit code stays 0. */
function verify(unit: string): string {
  const systemd = findTool("systemd-analyze");
  if (!systemd) throw new Error("systemd-analyze is not installed");
  const { stderr } = spawnSync(systemd, ["verify", "--man=no", unit], { encoding: "utf8", timeout: 60_000 });
  return stderr
    .split("\n")
    .filter((line) => line.includes("dropless.service"))
    .join("\n");
}

describe("the systemd unit", () => {
  it("does not take PM2's apps down with the daemon", () => {
    expect(value("KillMode")).toBe("process");
    expect(value("OOMPolicy")).toBe("continue");
  });

  it("comes back after whatever ended it", () => {
    expect(value("Restart")).toBe("always");
    expect(value("StartLimitIntervalSec")).toBe("0");
  });

  it("starts the daemon's own entry", () => {
    expect(value("ExecStart")).toMatch(
      / \/opt\/dropless\/dist\/main\.js --config \/etc\/dropless\/dropless\.yaml$/,
    );
    expect(existsSync(join(repositoryRoot, "src/main.ts"))).toBe(true);
  });

  it("has its lines in the journal under its own name", () => {
    expect(value("SyslogIdentifier")).toBe("dropless");
  });

  it.runIf(canTest("systemd-analyze"))("has nothing systemd complains of", () => {
    const dir = tempDir("systemd");
    const copy = join(dir, "dropless.service");
    copyFileSync(file, copy);
    expect(verify(copy)).toBe("");
    writeFileSync(copy, text.replace("OOMPolicy=", "OOMPolcy="));
    expect(verify(copy)).toContain("OOMPolcy");
  });
});

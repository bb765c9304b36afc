import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import type { Readable } from "node:stream";

/** By its name it is told from what it keeps. */
export const keeperName = "dropless-keeper";

const perl = "/usr/bin/perl";
/** The kernel's numbers of `prctl`, `setsid` and `sched_setattr`. */
const calls: Partial<Record<NodeJS.Architecture, [string, string, string]>> = {
  x64: ["157", "112", "314"],
  arm64: ["167", "157", "274"],
};

/**
 * 36 is PR_SET_CHILD_SUBREAPER. Its channel closes when the daemon is gone; then it stays as long as anything it keeps,
 * for the next daemon to find. What is packed is a `struct sched_attr` of 48 bytes whose flag 8 keeps the policy.
 */
const script = `
my ($prctl, $setsid, $setattr, $slice) = splice @ARGV, 0, 4;
syscall($prctl, 36, 1, 0, 0, 0);
open(my $channel, "+<&=", 3) or exit 125;
my $pid = fork // exit 125;
if ($pid == 0) {
  close $channel; syscall($setsid);
  if ($slice) { my $attr = pack("L2QlLQ3", 48, 0, 8, getpriority(0, 0), 0, $slice, 0, 0); syscall($setattr, 0, $attr, 0) }
  exec { $ARGV[0] } @ARGV; exit 127
}
$SIG{PIPE} = "IGNORE"; close STDOUT; close STDERR;
while ((my $gone = wait) != $pid) { last if $gone < 0 }
syswrite $channel, "$?\\n";
sysread $channel, my $nothing, 1;
1 while wait > 0;`;

/**
 * Runs a command as the child of a process that takes in its orphans: whoever leaves its session, cleans its
 * environment and loses its parent is still below the keeper, where it can be found. Node cannot do that, Perl can,
 * and is on nearly every machine with git; where there is none, undefined.
 *
 * `sliceMs`: the time slice that the command's processes ask the kernel for, instead of its default.
 */
export function keep(
  argv: readonly string[],
  { sliceMs = 0 }: { sliceMs?: number } = {},
): { file: string; args: string[] } | undefined {
  const numbers = calls[process.arch];
  if (process.platform !== "linux" || !numbers || !existsSync(perl)) return undefined;
  return { file: perl, args: ["-e", script, ...numbers, String(sliceMs * 1e6), ...argv] };
}

export interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** How the kept command ended, as soon as it has; never when the keeper was killed before. */
export const endOf = (keeper: ChildProcess): Promise<End> =>
  new Promise((resolve) => {
    const channel = keeper.stdio[3] as Readable;
    channel.on("error", () => {});
    channel.once("data", (chunk) => {
      const status = Number(chunk);
      const by = Object.entries(constants.signals).find(([, number]) => number === (status & 127));
      resolve(by ? { code: null, signal: by[0] as NodeJS.Signals } : { code: status >> 8, signal: null });
    });
  });

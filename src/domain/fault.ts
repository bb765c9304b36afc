/**
 * The only error class of dropless: something an operator can act on.
 *
 * `message` is one sentence saying what happened and why, without a full stop's worth of jargon; `hint`
 * is one sentence saying what to do. Anything else that is thrown is a bug, and is reported as `internal`.
 */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}

/**
 * Makes a Fault that is an answer and nothing else: what a stranger sends is no place in the code to be looked for,
 * and finding it out is a tenth of what refusing him costs.
 */
export function withoutTrace(make: () => Fault): Fault {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** What the machine has run out of, by the system's own error code; undefined for every other error. */
function shortage(thrown: unknown): Fault | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  const options = { cause: thrown };
  switch (thrown.code) {
    case "EMFILE":
    case "ENFILE":
      return new Fault(
        "too_many_open_files",
        `There are more open files and connections than the system allows: ${thrown.message}`,
        "Raise the daemon's limit (LimitNOFILE= in its unit, or `ulimit -n`), and see what holds so many; then deploy again.",
        options,
      );
    case "ENOSPC":
    case "EDQUOT":
      return new Fault(
        "disk_full",
        `A disk is full: ${thrown.message}`,
        "Make room (or free inodes: `df -i`) on the disks of the app's root and of `dataDir`, then deploy again.",
        options,
      );
    case "EROFS":
      return new Fault(
        "disk_read_only",
        `A disk is read-only: ${thrown.message}`,
        "The kernel does that after an error of the disk (`dmesg` tells): stop dropless if it is the disk of `dataDir`, check it, mount it again, and deploy again.",
        options,
      );
  }
  return undefined;
}

/** Whatever was thrown, as a Fault; what is not one is a bug of dropless and says so. */
export function toFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const short = shortage(thrown);
  if (short) return short;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Fault(
    "internal",
    `dropless met an error it did not expect: ${message}`,
    "The daemon's own log has the stack trace; please report it.",
    { cause: thrown },
  );
}

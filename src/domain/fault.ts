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

/** Whatever was thrown, as a Fault; what is not one is a bug of dropless and says so. */
export function toFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Fault(
    "internal",
    `dropless met an error it did not expect: ${message}`,
    "The daemon's own log has the stack trace; please report it.",
    { cause: thrown },
  );
}

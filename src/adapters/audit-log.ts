import { appendFileSync } from "node:fs";

/**
 * Appends entries to a file, one JSON object a line. Opened for each, so that the file may be moved away at any
 * time. An entry that cannot be written is reported, and stops nothing.
 */
export const createAuditLog =
  (file: string, report: (error: unknown) => void) =>
  (entry: object): void => {
    try {
      appendFileSync(file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    } catch (error) {
      report(error);
    }
  };

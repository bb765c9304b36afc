import type { FastifyBaseLogger } from "fastify";
import type { Config } from "../config/schema.js";
import type { DeployLogs, Queue } from "../domain/ports.js";
import type { Redactor } from "../domain/redact.js";
import type { AuditEntry } from "./audit.js";
import type { AppSources } from "./view.js";

/** What the HTTP side is made of; the composition root gives it. */
export interface HttpDeps extends Omit<AppSources, "queue"> {
  config: Config;
  queue: Queue;
  logs: DeployLogs;
  logger: FastifyBaseLogger;
  /** Nothing that leaves is known to hold a secret; should something some day, it is taken out here. */
  redactor: Redactor;
  version: string;
  /** False while the daemon starts or stops: then no webhook is taken. */
  ready(): boolean;
  /** For which apps an identity token speaks; without it none is taken. Fault `token_refused`, … */
  identify?: (token: string) => Promise<Set<string>>;
  /** Told of every call that changes something. */
  audit?: (entry: AuditEntry) => void;
  /** What Prometheus is answered; without it there is no `/metrics`. */
  metrics?: () => Promise<{ contentType: string; text: string }>;
  /**
   * How long a client may take for its headers, and for a whole request, and a log to be closed after its
   * deploy's end; milliseconds.
   */
  patience?: { headersMs?: number; requestMs?: number; closingMs?: number };
}

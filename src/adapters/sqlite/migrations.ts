import { Fault } from "../../domain/fault.js";
import type { Database } from "./driver.js";

/**
 * What each version of the store's schema adds; the number of those applied is its `user_version`. Append only:
 * a store in the field has run the earlier ones as they were.
 *
 * deploys: `body` is the deploy as JSON; the columns beside it are those that are searched. `seq` is the order
 * of arrival, which no clock can change. `place` is the seq of the first deploy in a chain of superseding ones.
 */
const migrations: readonly string[] = [
  `CREATE TABLE deploys (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     app TEXT NOT NULL,
     status TEXT NOT NULL,
     place INTEGER NOT NULL,
     sha TEXT NOT NULL,
     trigger TEXT NOT NULL,
     superseded_by TEXT,
     token_sha256 TEXT NOT NULL UNIQUE,
     body TEXT NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX one_running ON deploys (status) WHERE status = 'running';
   CREATE INDEX deploys_waiting ON deploys (place) WHERE status = 'queued';
   CREATE INDEX deploys_app ON deploys (app, seq);
   CREATE INDEX deploys_status ON deploys (status, seq);
   CREATE INDEX deploys_app_status ON deploys (app, status, seq);
   CREATE INDEX deploys_place ON deploys (place, seq);
   CREATE TABLE deliveries (
     app TEXT NOT NULL,
     id TEXT NOT NULL,
     body_sha256 TEXT NOT NULL,
     deploy TEXT NOT NULL REFERENCES deploys (id),
     UNIQUE (app, id, body_sha256)
   ) STRICT;
   CREATE INDEX deliveries_body ON deliveries (app, body_sha256);
   CREATE INDEX deliveries_deploy ON deliveries (deploy);
   CREATE TABLE apps (
     name TEXT PRIMARY KEY,
     state TEXT NOT NULL
   ) STRICT;`,
];

const versionOf = (db: Database): number => Number(db.prepare("PRAGMA user_version").get()?.user_version);

/** Brings a store to the schema that this dropless knows. Fault `store_newer`. */
export function migrate(db: Database, steps: readonly string[] = migrations): void {
  const version = versionOf(db);
  if (version > steps.length)
    throw new Fault(
      "store_newer",
      `The store was written by a newer dropless (schema ${version}, this one knows ${steps.length}).`,
      "Start the newer dropless again, or give this one another `dataDir`.",
    );
  for (const [index, sql] of steps.entries()) {
    if (index < version) continue;
    try {
      db.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${index + 1}; COMMIT`);
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
  }
}

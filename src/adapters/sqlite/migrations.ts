import { Fault } from "../../domain/fault.js";
import type { Database } from "./driver.js";

/**
 * What each version of the store's schema adds; the number of those applied is its `user_version`. Append only:
 * a store in the field has run the earlier ones as they were.
 *
 * deploys: `body` is the deploy as JSON; the columns beside it are those that are searched. `seq` is the order
 * of arrival, which no clock can change. `place` is the seq of the first deploy in a chain of superseding ones.
 *
 * Version 2 is for what one more delivery costs, which is the pages it changes: small keys, no key twice, no order where
 * none is asked for. A token is found by the deploy's id in front of it (queue/tokens.ts); those from before ids were there
 * keep an index of their own. An index ends in the `seq` of its row as it is. What `deliveries` said by rows that pointed
 * to a repeated deploy and were moved, `repeats` says beside them: it is seldom, and they need no index to be found by.
 *
 * Version 3: the keys of a delivery are random, and two pages for each were most of what a commit wrote. They stand in
 * the row of its deploy, which is appended; `delivery_ids` and `delivery_bodies` follow later, up to the deploy that
 * `indexed` names, and what comes after that is held in memory (deliveries.ts). What is superseded, which is most of a
 * flood and seldom asked for, is not found by its status: where it is rare, a list of it looks at every deploy.
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
  `CREATE TABLE delivery_ids (
     app TEXT NOT NULL,
     id TEXT NOT NULL,
     deploy INTEGER NOT NULL,
     PRIMARY KEY (app, id)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE delivery_bodies (
     app TEXT NOT NULL,
     sha256 BLOB NOT NULL,
     deploy INTEGER NOT NULL,
     PRIMARY KEY (app, sha256)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE repeats (
     earlier INTEGER PRIMARY KEY,
     later INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX repeats_later ON repeats (later);
   INSERT OR REPLACE INTO delivery_ids (app, id, deploy)
     SELECT deliveries.app, deliveries.id, seq FROM deliveries JOIN deploys ON deploys.id = deploy
       ORDER BY deliveries.rowid;
   INSERT OR REPLACE INTO delivery_bodies (app, sha256, deploy)
     SELECT deliveries.app, coalesce(unhex(body_sha256), CAST(body_sha256 AS BLOB)), seq
       FROM deliveries JOIN deploys ON deploys.id = deploy ORDER BY deliveries.rowid;
   DROP TABLE deliveries;
   CREATE TABLE deploys_2 (
     seq INTEGER PRIMARY KEY,
     id TEXT NOT NULL UNIQUE,
     app TEXT NOT NULL,
     status TEXT NOT NULL,
     place INTEGER NOT NULL,
     sha TEXT NOT NULL,
     trigger TEXT NOT NULL,
     superseded_by TEXT,
     token_sha256 TEXT NOT NULL,
     body TEXT NOT NULL
   ) STRICT;
   INSERT INTO deploys_2 (seq, id, app, status, place, sha, trigger, superseded_by, token_sha256, body)
     SELECT seq, id, app, status, place, sha, trigger, superseded_by, token_sha256, body FROM deploys ORDER BY seq;
   DROP TABLE deploys;
   ALTER TABLE deploys_2 RENAME TO deploys;
   CREATE UNIQUE INDEX one_running ON deploys (status) WHERE status = 'running';
   CREATE INDEX deploys_waiting ON deploys (place) WHERE status = 'queued';
   CREATE INDEX deploys_app ON deploys (app);
   CREATE INDEX deploys_status ON deploys (status);
   CREATE INDEX deploys_app_status ON deploys (app, status);
   CREATE INDEX deploys_place ON deploys (place);
   CREATE INDEX deploys_older_token ON deploys (token_sha256) WHERE instr(token_sha256, '.') = 0;`,
  `ALTER TABLE deploys ADD COLUMN delivery TEXT;
   ALTER TABLE deploys ADD COLUMN delivery_sha256 BLOB;
   DROP INDEX deploys_status;
   DROP INDEX deploys_app_status;
   CREATE INDEX deploys_status ON deploys (status) WHERE status <> 'superseded';
   CREATE INDEX deploys_app_status ON deploys (app, status) WHERE status <> 'superseded';
   CREATE TABLE indexed (
     upto INTEGER NOT NULL
   ) STRICT;
   INSERT INTO indexed (upto) SELECT coalesce(max(seq), 0) FROM deploys;`,
];

const versionOf = (db: Database): number => Number(db.prepare("PRAGMA user_version").get()?.user_version);

/** Brings a store to the schema that this dropless knows. Fault `store_newer`. */
export function migrate(db: Database, steps: readonly string[] = migrations): void {
  const version = versionOf(db);
  if (version > steps.length)
    throw new Fault(
      "store_newer",
      `The store was written by a newer dropless (schema ${version}, this one knows ${steps.length}).`,
      "Start the newer dropless again, put back the copy of `dropless.db*` from before the upgrade, or give this one another `dataDir`.",
    );
  for (const [index, sql] of steps.entries()) {
    if (index < version) continue;
    try {
      db.exec(`BEGIN IMMEDIATE; ${sql}; PRAGMA user_version = ${index + 1}; COMMIT`);
    } catch (error) {
      try {
        db.exec("ROLLBACK");
      } catch {
        // SQLite has already rolled back by itself, as it does when the disk is full.
      }
      throw error;
    }
  }
}

import type { Database } from "./driver.js";

/** How many succeeded deploys anybody would look through for a release to go back to. */
const succeededLimit = 200;

/** SQLite uses an index of some rows (migrations.ts) where a query says that it wants none but these. */
export const hasStatusIndexed = "status <> 'superseded'";

/** What the store asks and tells SQLite, but for lists, which are asked for in many ways. */
export const prepareAll = (db: Database) => ({
  add: db.prepare(
    `INSERT INTO deploys (seq, place, id, app, status, sha, trigger, token_sha256, superseded_by, body,
                          delivery, delivery_sha256)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  lastSeq: db.prepare("SELECT coalesce(max(seq), 0) AS seq FROM deploys"),
  update: db.prepare("UPDATE deploys SET status = ?, sha = ?, superseded_by = ?, body = ? WHERE id = ?"),
  get: db.prepare("SELECT seq, place, body FROM deploys WHERE id = ?"),
  waiting: db.prepare("SELECT seq, place, body FROM deploys WHERE status = 'queued' ORDER BY place"),
  running: db.prepare("SELECT seq, place, body FROM deploys WHERE status = 'running'"),
  succeeded: db.prepare(
    `SELECT seq, place, body FROM deploys WHERE app = ? AND status = 'succeeded' AND ${hasStatusIndexed}
       ORDER BY seq DESC LIMIT ${succeededLimit}`,
  ),
  standsFor: db.prepare(
    `SELECT sha FROM deploys WHERE place = ? AND seq <= ? AND trigger <> 'rollback' AND sha <> ''
       ORDER BY seq DESC`,
  ),
  madeByBody: db.prepare("SELECT deploy FROM delivery_bodies WHERE app = ? AND sha256 = ?"),
  madeById: db.prepare("SELECT deploy FROM delivery_ids WHERE app = ? AND id = ?"),
  lastRepeat: db.prepare(
    `SELECT seq, place, body FROM deploys
       WHERE seq = coalesce((SELECT later FROM repeats WHERE earlier = ?), ?)`,
  ),
  indexed: db.prepare("SELECT upto FROM indexed"),
  setIndexed: db.prepare("UPDATE indexed SET upto = ?"),
  notIndexed: db.prepare(
    `SELECT seq, app, delivery AS id, lower(hex(delivery_sha256)) AS body_sha256 FROM deploys
       WHERE seq > ? AND delivery IS NOT NULL ORDER BY seq`,
  ),
  indexId: db.prepare("INSERT OR REPLACE INTO delivery_ids (app, id, deploy) VALUES (?, ?, ?)"),
  indexBody: db.prepare("INSERT OR REPLACE INTO delivery_bodies (app, sha256, deploy) VALUES (?, ?, ?)"),
  repeatsOfRepeated: db.prepare(
    "UPDATE repeats SET later = ? WHERE later = (SELECT seq FROM deploys WHERE id = ?)",
  ),
  repeated: db.prepare(
    "INSERT OR REPLACE INTO repeats (later, earlier) SELECT ?, seq FROM deploys WHERE id = ?",
  ),
  app: db.prepare("SELECT state FROM apps WHERE name = ?"),
  setApp: db.prepare("INSERT OR REPLACE INTO apps (name, state) VALUES (?, ?)"),
  tokenOwner: db.prepare("SELECT id FROM deploys WHERE id = ? AND token_sha256 = ?"),
  olderTokenOwner: db.prepare(
    "SELECT id FROM deploys WHERE token_sha256 = ? AND instr(token_sha256, '.') = 0",
  ),
  lastOfPlace: db.prepare(
    "SELECT id, seq, place, superseded_by, body FROM deploys WHERE place = ? ORDER BY seq DESC LIMIT 1",
  ),
});

import type { Database } from "./driver.js";

/** How many succeeded deploys anybody would look through for a release to go back to. */
const succeededLimit = 200;

/** A hash that is given twice in hex, as 32 bytes; the tests' are no hex. */
const sha256 = "coalesce(unhex(?), CAST(? AS BLOB))";

/** What the store asks and tells SQLite, but for lists, which are asked for in many ways. */
export const prepareAll = (db: Database) => ({
  add: db.prepare(
    `INSERT INTO deploys (seq, place, id, app, status, sha, trigger, token_sha256, superseded_by, body)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  lastSeq: db.prepare("SELECT coalesce(max(seq), 0) AS seq FROM deploys"),
  update: db.prepare("UPDATE deploys SET status = ?, sha = ?, superseded_by = ?, body = ? WHERE id = ?"),
  get: db.prepare("SELECT seq, place, body FROM deploys WHERE id = ?"),
  waiting: db.prepare("SELECT seq, place, body FROM deploys WHERE status = 'queued' ORDER BY place"),
  running: db.prepare("SELECT seq, place, body FROM deploys WHERE status = 'running'"),
  succeeded: db.prepare(
    `SELECT seq, place, body FROM deploys WHERE app = ? AND status = 'succeeded'
       ORDER BY seq DESC LIMIT ${succeededLimit}`,
  ),
  standsFor: db.prepare(
    `SELECT sha FROM deploys WHERE place = ? AND seq <= ? AND trigger <> 'rollback' AND sha <> ''
       ORDER BY seq DESC`,
  ),
  remembered: db.prepare(
    `SELECT seq, place, body FROM deploys WHERE seq = coalesce(
       (SELECT coalesce(later, deploy) FROM delivery_bodies LEFT JOIN repeats ON earlier = deploy
          WHERE app = ? AND sha256 = ${sha256}),
       (SELECT coalesce(later, deploy) FROM delivery_ids LEFT JOIN repeats ON earlier = deploy
          WHERE app = ? AND id = ?))`,
  ),
  /** Two statements: one that inserts into both tables is none, and rows of one table at once cost more than a call. */
  rememberId: db.prepare("INSERT OR REPLACE INTO delivery_ids (app, id, deploy) VALUES (?, ?, ?)"),
  rememberBody: db.prepare(
    `INSERT OR REPLACE INTO delivery_bodies (app, sha256, deploy) VALUES (?, ${sha256}, ?)`,
  ),
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

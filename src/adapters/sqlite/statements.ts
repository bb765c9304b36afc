import type { Database } from "./driver.js";

/** How many succeeded deploys anybody would look through for a release to go back to. */
const succeededLimit = 200;

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
  // Not ordered: for that SQLite would make a table to sort in, each time.
  remembered: db.prepare(
    `SELECT deploy FROM deliveries WHERE rowid = coalesce(
         (SELECT max(rowid) FROM deliveries WHERE app = ? AND body_sha256 = ?),
         (SELECT max(rowid) FROM deliveries WHERE app = ? AND id = ?))`,
  ),
  retarget: db.prepare("UPDATE deliveries SET deploy = ? WHERE deploy = ?"),
  remember: db.prepare(
    "INSERT OR REPLACE INTO deliveries (app, id, body_sha256, deploy) VALUES (?, ?, ?, ?)",
  ),
  app: db.prepare("SELECT state FROM apps WHERE name = ?"),
  setApp: db.prepare("INSERT OR REPLACE INTO apps (name, state) VALUES (?, ?)"),
  tokenOwner: db.prepare("SELECT id FROM deploys WHERE token_sha256 = ?"),
  lastOfPlace: db.prepare(
    "SELECT id, seq, place, superseded_by, body FROM deploys WHERE place = ? ORDER BY seq DESC LIMIT 1",
  ),
});

import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Deploy } from "../../domain/deploy.js";
import { Fault } from "../../domain/fault.js";
import type { AppState } from "../../domain/request.js";
import type { Store } from "../../queue/store.js";
import { createChain } from "./chain.js";
import { createCheckpoints, pagesOfFullLog } from "./checkpoint.js";
import { bytesOf, createDeliveries } from "./deliveries.js";
import { createDiskWatch } from "./disk.js";
import { CONSTRAINT, type Database, openDatabase, type Row, sqliteCode } from "./driver.js";
import { unusable, unwritable } from "./faults.js";
import { type Added, createFresh } from "./fresh.js";
import { createLater } from "./later.js";
import { createLine } from "./line.js";
import { lockDataDir } from "./lock.js";
import { migrate } from "./migrations.js";
import { isQueued, isRunning, toBody, toDeploy } from "./rows.js";
import { hasStatusIndexed, prepareAll } from "./statements.js";

/**
 * The store in a data folder, which it makes if need be, under the folder's lock. Every commit is synced to the
 * disk before it returns. Faults: `data_dir_in_use`, `data_dir_unusable`, `store_newer`, `store_damaged`;
 * later, of every write, `store_unwritable`. `open` is the SQLite to use: Node's own where it has one. `onReplaced`
 * gets `store_replaced` when the disk failed and is mounted anew: from then on this store is of no use.
 */
export function openStore(
  dataDir: string,
  open = openDatabase,
  onReplaced: (fault: Fault) => void = () => {},
): Store & { close(): void } {
  let release: (() => void) | undefined;
  let db: Database | undefined;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    release = lockDataDir(dataDir, open);
    const path = join(dataDir, "dropless.db");
    db = open(path);
    // Also in a folder that others may look into; what SQLite puts beside it gets the same mode.
    chmodSync(path, 0o600);
    // Where a delivery's id and hash belong is random, and each commit writes whole pages: of 2 kB they cost least.
    db.exec("PRAGMA page_size = 2048");
    db.exec(
      `PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
       PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864;
       PRAGMA wal_autocheckpoint = ${pagesOfFullLog(db)}; PRAGMA cache_size = -8000`,
    );
    migrate(db);
    const disk = createDiskWatch({ file: path, onReplaced });
    return createStore(db, { release, disk, checkpoints: createCheckpoints(path) });
  } catch (error) {
    db?.close();
    release?.();
    throw error instanceof Fault ? error : unusable(dataDir, error);
  }
}

interface Beside {
  release: () => void;
  disk: ReturnType<typeof createDiskWatch>;
  checkpoints: ReturnType<typeof createCheckpoints>;
}

function createStore(db: Database, beside: Beside): Store & { close(): void } {
  const sql = prepareAll(db);
  const deliveries = createDeliveries(sql);
  const chain = createChain(sql);
  const { release, disk, checkpoints } = beside;
  const supersededBy = (deploy: Deploy) => ("supersededBy" in deploy ? (deploy.supersededBy ?? null) : null);
  const fresh = createFresh((added) => write(() => insert(added)));
  const line = createLine(() => {
    fresh.flush();
    return sql.waiting.all().flatMap((row) => {
      const deploy = toDeploy(row);
      return isQueued(deploy) ? [{ deploy, place: Number(row.place) }] : [];
    });
  });
  /** So that a start after a kill finds few that are ahead of the index. */
  const indexing = createLater({
    work: () => transaction(() => write(() => deliveries.index())),
    isLeft: deliveries.isBehind,
  });
  /** Of the deploy that was added last, as far as it is known: nobody else adds any (lock.ts). */
  let lastSeq: number | undefined;
  const states = new Map<string, AppState>();
  let depth = 0;

  function transaction<T>(work: () => T): T {
    if (depth > 0) return work();
    write(() => db.exec("BEGIN IMMEDIATE"));
    depth++;
    try {
      const result = work();
      fresh.flush();
      write(() => db.exec("COMMIT"));
      disk.works();
      checkpoints.committed();
      deliveries.committed();
      indexing.written(deliveries.isFarBehind());
      return result;
    } catch (error) {
      fresh.forget();
      deliveries.takenBack();
      line.forget();
      states.clear();
      lastSeq = undefined;
      try {
        db.exec("ROLLBACK");
      } catch {
        // SQLite has already rolled back by itself, as it does when the disk is full.
      }
      throw error;
    } finally {
      depth--;
    }
  }

  /** A broken constraint is a bug of the queue; everything else is the disk's doing. */
  function write<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const code = sqliteCode(error);
      if (code === undefined || code === CONSTRAINT) throw error;
      disk.failed();
      throw unwritable(error);
    }
  }

  function insert({ seq, place, tokenSha256, delivery, deploy }: Added): void {
    const { id, app, status, commit, trigger } = deploy;
    const [by, body] = [supersededBy(deploy), toBody(deploy)];
    const [made, hash] = delivery ? [delivery.id, bytesOf(delivery.bodySha256)] : [null, null];
    sql.add.run(seq, place, id, app, status, commit.sha, trigger, tokenSha256, by, body, made, hash);
  }

  /** What reads the tables finds there what has been added, too. */
  const reading =
    <Args extends unknown[], T>(read: (...args: Args) => T) =>
    (...args: Args): T => {
      fresh.flush();
      return read(...args);
    };

  const one = (row: Row | undefined) => row && toDeploy(row);

  return {
    transaction,
    add: (deploy, { tokenSha256, place, delivery, instead }) =>
      transaction(() => {
        lastSeq ??= Number(sql.lastSeq.get()?.seq);
        const seq = lastSeq + 1;
        const added = { seq, place: place ?? seq, tokenSha256, delivery, deploy };
        deliveries.add(deploy.app, delivery, seq);
        fresh.add(added);
        lastSeq = seq;
        line.added(deploy, added.place);
        if (instead === undefined) return;
        fresh.flush();
        write(() => deliveries.repeat(seq, instead));
      }),
    update(deploy) {
      const { id, status, commit } = deploy;
      if (!fresh.update(deploy))
        write(() => sql.update.run(status, commit.sha, supersededBy(deploy), toBody(deploy), id));
      line.updated(deploy);
    },
    get: reading((id) => one(sql.get.get(id))),
    list: reading(({ app, status, limit, before }) => {
      const from = before === undefined ? undefined : (sql.get.get(before)?.seq ?? 0);
      const where = [
        ...(app === undefined ? [] : [["app = ?", app] as const]),
        ...(status === undefined ? [] : [["status = ?", status] as const]),
        ...(from === undefined ? [] : [["seq < ?", from] as const]),
      ];
      const terms: string[] = where.map(([text]) => text);
      if (status !== undefined && status !== "superseded") terms.push(hasStatusIndexed);
      const condition = terms.length === 0 ? "" : `WHERE ${terms.join(" AND ")}`;
      const rows = db
        .prepare(`SELECT seq, place, body FROM deploys ${condition} ORDER BY seq DESC LIMIT ?`)
        .all(...where.map(([, value]) => value), limit + 1);
      const deploys = rows.slice(0, limit).map((row) => toDeploy(row));
      return { deploys, ...(rows.length > limit && { next: deploys.at(-1)?.id }) };
    }),
    succeeded: reading((app, of) =>
      (of?.length === 0 ? [] : sql.succeeded.all(app))
        // Hundreds of them are read for a handful: only what may be one of these is worth parsing.
        .filter(({ body }) => of === undefined || of.some((release) => String(body).includes(release)))
        .map((row) => toDeploy(row))
        .filter((deploy) => "release" in deploy && deploy.release !== undefined),
    ),
    waiting: (app) => line.waiting(app),
    position: (id) => line.position(id),
    running: reading(() => {
      const deploy = one(sql.running.get());
      return deploy && isRunning(deploy) ? { ...deploy, standsFor: chain.standsFor(deploy.id) } : undefined;
    }),
    standsFor: reading(chain.standsFor),
    remembered(app, delivery) {
      const seq = deliveries.find(app, delivery);
      if (seq === undefined) return undefined;
      fresh.flush();
      return one(deliveries.get(seq));
    },
    app(name) {
      const state = states.get(name) ?? (JSON.parse(String(sql.app.get(name)?.state ?? "{}")) as AppState);
      states.set(name, state);
      return state;
    },
    setApp(name, state) {
      write(() => sql.setApp.run(name, JSON.stringify(state)));
      states.delete(name);
    },
    tokenOwner: reading((tokenSha256) => {
      const end = tokenSha256.indexOf(".");
      const row =
        end < 0
          ? sql.olderTokenOwner.get(tokenSha256)
          : sql.tokenOwner.get(tokenSha256.slice(0, end), tokenSha256);
      return row?.id as string | undefined;
    }),
    isHeir: reading(chain.isHeir),
    lastHeir: reading((id) => one(chain.lastHeir(id))),
    close() {
      disk.works();
      indexing.end();
      checkpoints.close();
      // SQLite takes its log away by its name when it closes: on the new disk that is not ours to take.
      if (disk.isReplaced()) return;
      db.close();
      release();
    },
  };
}

import type { Deploy, Ended, Queued } from "../domain/deploy.js";
import { Fault } from "../domain/fault.js";
import type { Submission } from "../domain/ports.js";
import type { Delivery, DeployRequest } from "../domain/request.js";
import type { Journal } from "./journal.js";
import { inherited, mayRepeat, supersedes } from "./rules.js";
import type { Store } from "./store.js";
import { createTogether } from "./together.js";
import { createTokens, hashToken } from "./tokens.js";
import { queued, superseded } from "./transitions.js";

interface Deps {
  store: Store;
  journal: Journal;
  ids: () => string;
  now: () => number;
  isApp: (name: string) => boolean;
}

interface Taken {
  submissions: Submission[];
  /** Deploys as they are now, in the order in which they became so. */
  news: Deploy[];
}

/** How deploys come into the queue: each call is one transaction, told of after it is durable. */
export function createSubmit({ store, journal, ids, now, isApp }: Deps) {
  const createToken = createTokens();

  /** Adds one deploy in the running transaction, and supersedes whom it replaces. */
  function enqueue(
    request: DeployRequest,
    news: Deploy[],
    delivery?: Delivery,
    repeated?: Deploy,
  ): Submission {
    const deploy: Queued = queued(ids(), request, now(), repeated);
    const token = createToken(deploy.id);
    const replaced = store.waiting(request.app).filter((other) => supersedes(request.trigger, other.deploy));
    for (const other of replaced) {
      const end: Ended = superseded(other.deploy, deploy.id, now());
      store.update(end);
      news.push(end);
    }
    const place = inherited(request.trigger, replaced)?.place;
    store.add(deploy, { tokenSha256: hashToken(token), place, delivery, instead: repeated?.id });
    news.push(deploy);
    return { kind: "queued", deploy, position: store.position(deploy.id) ?? 1, token };
  }

  /** What holds a request up, if anything. A person's rollback is how one gets out of a hold. */
  function held(request: DeployRequest): Submission | undefined {
    const hold = request.trigger === "rollback" ? undefined : store.app(request.app).hold;
    return hold && { kind: "held", app: request.app, reason: hold.reason };
  }

  function check(requests: DeployRequest[]): void {
    const unknown = requests.find(({ app }) => !isApp(app));
    if (unknown)
      throw new Fault(
        "app_unknown",
        `There is no app named ${unknown.app}.`,
        "Look at the names under `apps` in dropless.yaml; a new one needs a restart of the daemon.",
      );
  }

  /**
   * What was superseded by what came with it has not waited: nobody can have followed its log, so it gets none, and is
   * told of once.
   */
  function tell(news: Deploy[]): void {
    const came = new Set<string>();
    const passed = new Set<string>();
    for (const { id, status } of news)
      if (status === "queued") came.add(id);
      else if (came.has(id)) passed.add(id);
    for (const deploy of news)
      if (!passed.has(deploy.id)) journal.status(deploy, { end: deploy.status === "superseded" });
      else if (deploy.status !== "queued") journal.publish(deploy);
  }

  /** In a transaction: what becomes of one delivery, and what is to be told of it. */
  function take(delivery: Delivery, requests: DeployRequest[]): Taken {
    const news: Deploy[] = [];
    const submissions = requests.map((request): Submission => {
      const earlier = store.remembered(request.app, delivery);
      if (earlier && !mayRepeat(earlier)) return { kind: "duplicate", deploy: earlier };
      return held(request) ?? enqueue(request, news, delivery, earlier);
    });
    return { submissions, news };
  }

  const together = createTogether<Taken>({
    transaction: (work) => store.transaction(work),
    after: (taken) => tell(taken.flatMap(({ news }) => news)),
  });

  return {
    deliver(delivery: Delivery, requests: DeployRequest[]): Submission[] {
      check(requests);
      const { submissions, news } = store.transaction(() => take(delivery, requests));
      tell(news);
      return submissions;
    },
    async deliverSoon(delivery: Delivery, requests: DeployRequest[]): Promise<Submission[]> {
      check(requests);
      return (await together(() => take(delivery, requests))).submissions;
    },
    ask(request: DeployRequest): Submission {
      check([request]);
      const news: Deploy[] = [];
      const submission = store.transaction(() => held(request) ?? enqueue(request, news));
      tell(news);
      return submission;
    },
  };
}

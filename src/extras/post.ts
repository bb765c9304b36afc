import { setTimeout as sleep } from "node:timers/promises";

export interface Posted {
  method?: "POST" | "GET";
  url: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface PostOptions {
  signal: AbortSignal;
  /** Before each further attempt, milliseconds: their number bounds the attempts. */
  pausesMs?: number[];
  /** For one attempt, milliseconds. */
  timeoutMs?: number;
}

/** An answer that was no success. Nothing of the address is in its message: that may be a secret. */
interface Refusal {
  /** Worth another attempt: the other side may be up again soon. */
  passing: boolean;
  message: string;
  retryAfterMs?: number;
  status?: number;
}

const mostPatienceMs = 60_000;
/** Of an answer, bytes; nobody whom dropless asks has more to say, and some may never end. */
const mostText = 1_000_000;

async function beginning({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop closes the connection.
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= mostText) break;
  }
  return Buffer.concat(chunks).toString("utf8", 0, mostText);
}

const retryAfter = (value: string | null): number | undefined => {
  const seconds = Number(value);
  return value === null || !Number.isFinite(seconds) || seconds < 0
    ? undefined
    : Math.min(seconds * 1000, mostPatienceMs);
};

async function once(request: Posted, signal: AbortSignal): Promise<{ text: string } | Refusal> {
  try {
    const response = await fetch(request.url, {
      method: request.method ?? "POST",
      headers: { "user-agent": "dropless", "content-type": "application/json", ...request.headers },
      body: request.body,
      // A redirect would take the body, and what signs it, to another place.
      redirect: "manual",
      signal,
    });
    const text = await beginning(response);
    if (response.ok) return { text };
    return {
      passing: response.status === 429 || response.status >= 500,
      message: `answered ${response.status}`,
      status: response.status,
      retryAfterMs: retryAfter(response.headers.get("retry-after")),
    };
  } catch (error) {
    const { cause } = error as { cause?: { code?: string } };
    const timedOut = error instanceof Error && error.name === "TimeoutError";
    return { passing: true, message: timedOut ? "did not answer in time" : (cause?.code ?? "no connection") };
  }
}

/**
 * Sends until it is taken, a bounded number of times. Gives the answer's text; throws an Error that says in a few
 * words what the last attempt met, with the answer's `status` if there was one; at once when another one is of no use.
 */
export async function post(
  request: Posted,
  { signal, pausesMs = [1_000, 5_000, 25_000], timeoutMs = 10_000 }: PostOptions,
): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    const answer = await once(request, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
    if ("text" in answer) return answer.text;
    const pause = pausesMs[attempt];
    if (!answer.passing || pause === undefined)
      throw Object.assign(
        new Error(`${answer.message}${attempt > 0 ? `, after ${attempt + 1} attempts` : ""}`),
        { status: answer.status },
      );
    await sleep(Math.max(pause, answer.retryAfterMs ?? 0), undefined, { signal });
  }
}

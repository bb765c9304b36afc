import type { IncomingHttpHeaders } from "node:http";

/** Set by the page on every call that changes something; a form or a link of another page cannot set it. */
const pageHeader = "x-dropless-page";

const hostOf = (url: string): string | undefined => {
  try {
    return new URL(url).host;
  } catch {
    return undefined;
  }
};

/**
 * Was this request made by the page itself, and not by some other page in the same browser (CSRF)? Browsers say
 * so in `Sec-Fetch-Site`; over plain HTTP they leave it out, and `Origin` is compared with the host that was
 * asked for (a proxy may take the port off it) or with `publicUrl`. What changes something also needs
 * the page's own header, which another origin may send only after a preflight that nobody here answers.
 */
export function isOwnPage(
  { method, headers }: { method: string; headers: IncomingHttpHeaders },
  publicUrl?: string,
): boolean {
  const reads = method === "GET" || method === "HEAD";
  if (!reads && headers[pageHeader] === undefined) return false;
  const site = headers["sec-fetch-site"];
  // "none": typed, or a bookmark. A link on another page says cross-site and gets no cookie's worth.
  if (site !== undefined) return site === "same-origin" || (reads && site === "none");
  if (headers.origin === undefined) return reads;
  const origin = hostOf(headers.origin);
  if (origin === undefined) return false;
  const [name] = origin.split(":");
  return origin === headers.host || name === headers.host || (!!publicUrl && origin === hostOf(publicUrl));
}

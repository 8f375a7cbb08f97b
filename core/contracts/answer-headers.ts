/**
 * What stands on every answer unless the answer says otherwise: browsers come by HTTPS only, take nothing for what it is not,
 * tell nobody where they came from, run nothing of ours and show it in nobody's frame, and keep nothing. A page brings a
 * policy of its own, and what anybody may see says how long it may be kept.
 */
export const ANSWER_HEADERS: Readonly<Record<string, string>> = {
  // Over plain HTTP, as on one's own machine, browsers do not heed it (RFC 6797, 8.1).
  "strict-transport-security": "max-age=31536000",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
};

/** Adds what is missing. */
export function completeHeaders(headers: Headers): void {
  for (const [name, value] of Object.entries(ANSWER_HEADERS))
    if (!headers.has(name)) headers.set(name, value);
}

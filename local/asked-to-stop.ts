/**
 * From now on Ctrl-C, a `kill`, the terminal's end and a closed output ask for a stop, and end nothing by themselves:
 * what was begun can be undone first. Asking again changes nothing (npm passes on a Ctrl-C that was seen already).
 */
export function askedToStop(): AbortSignal {
  const asked = new AbortController();
  const ask = () => asked.abort();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, ask);
  // `npm start | head`: whoever read has gone. Without a listener that would end the process on the spot.
  for (const output of [process.stdout, process.stderr]) output.on("error", ask);
  return asked.signal;
}

/** Resolves when it was asked. */
export const whenAsked = (asked: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (asked.aborted) resolve();
    else asked.addEventListener("abort", () => resolve(), { once: true });
  });

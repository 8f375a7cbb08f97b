import type { Clock, Log } from "#core/ports.ts";

/** Runs one unit of work and writes its one wide line, whatever becomes of it (style §13). */
export async function unitOfWork<T>(
  deps: Readonly<{ clock: Clock; log: Log }>,
  event: string,
  fields: Record<string, unknown>,
  run: (add: (more: Record<string, unknown>) => void) => Promise<T>,
): Promise<T> {
  const started = deps.clock.now();
  const all = { ...fields };
  const ended = () => ({ ...all, duration_ms: +deps.clock.now() - +started });
  try {
    const value = await run((more) => Object.assign(all, more));
    deps.log.info(event, { outcome: "ok", ...ended() });
    return value;
  } catch (error) {
    deps.log.error(event, { ...ended(), outcome: "threw", error });
    throw error;
  }
}

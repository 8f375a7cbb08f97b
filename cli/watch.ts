import type { Answered } from "./api/client.ts";
import { count, flag } from "./commands/command.ts";
import { Failure } from "./failure.ts";
import { plain } from "./output/format.ts";
import { createProgress, type Step } from "./output/progress.ts";
import type { Session } from "./session.ts";

/* Waiting for what goes on elsewhere. It goes on whether somebody waits or not. */

/** What every command takes that begins something. */
export const WATCH = {
  watch: flag("wait for its end, and show how far it is"),
  timeout: count("with --watch: seconds to wait at most (900)", 86_400),
} as const;

const USUAL_SECONDS = 900;
/** Between two looks: quick at first, since most is done in seconds. */
const FIRST_MS = 250;
const LAST_MS = 2_000;
const SLOWER = 1.3;

/** Looks until it has ended. What was seen last comes with `timedOut` when that takes too long. */
export async function until<T>(
  session: Session,
  title: string,
  timeout: number | undefined,
  look: () => Promise<T>,
  /** `note`: what a person has to know meanwhile; said once. */
  tell: (seen: T) => Step & Readonly<{ ended: boolean; note?: string | undefined }>,
): Promise<Readonly<{ seen: T; timedOut: boolean }>> {
  const { world, common } = session;
  const end = +world.clock.now() + (timeout ?? USUAL_SECONDS) * 1_000;
  const progress = createProgress(world, title, common.quiet);
  let noted: string | undefined;
  try {
    for (let wait = FIRST_MS; ; wait = Math.min(LAST_MS, wait * SLOWER)) {
      const seen = await look();
      const { ended, note, ...step } = tell(seen);
      if (note !== undefined && note !== noted) {
        progress.end();
        world.stderr.write(`${plain(note)}\n`);
        noted = note;
      }
      progress.show(step);
      if (ended) return { seen, timedOut: false };
      if (+world.clock.now() + wait > end) return { seen, timedOut: true };
      await world.clock.sleep(wait);
    }
  } finally {
    progress.end();
  }
}

export type WatchedAction = Readonly<{
  action: Answered<"showAction">;
  failed: Failure | undefined;
}>;

/** An action, to its end. */
export async function watchAction(
  session: Session,
  id: string,
  title: string,
  timeout: number | undefined,
): Promise<WatchedAction> {
  const client = await session.client();
  const { seen, timedOut } = await until(
    session,
    title,
    timeout,
    () => client.call("showAction", { path: { id } }),
    ({ value: { status, progress, steps, finishedAt, payUrl } }) => ({
      note: payUrl === null ? undefined : `pay at ${payUrl}`,
      percent: progress,
      doing: steps.find((step) => step.status === "running")?.name.replaceAll("_", " ") ?? status,
      // Whatever else it may be called on a newer server.
      ended: finishedAt !== null,
    }),
  );
  return { action: seen, failed: timedOut ? stillRunning(id) : failureOf(seen.value) };
}

const stillRunning = (id: string) =>
  new Failure("timed_out", "still_running", "it has not ended yet, and goes on", {
    wayOut: `berth action watch ${id}`,
  });

function failureOf({ id, status, error }: Answered<"showAction">["value"]): Failure | undefined {
  if (status !== "error") return undefined;
  return new Failure("failed", error?.code ?? "action_failed", error?.message ?? "it failed", {
    wayOut: `berth action show ${id}`,
  });
}

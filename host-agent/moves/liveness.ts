import type { Socket } from "node:net";
import type { Clock } from "#core/ports.ts";
import { pause } from "#host-agent/time-limit.ts";
import { MoveStreamError } from "./stream-error.ts";

/** Who has nothing to say on a stream that must not be silent says so this often. */
export const BEAT_MS = 15_000;
/** After so long without a sign the other end is taken for gone. */
export const SILENT_MS = 60_000;
const LOOK_MS = 10_000;
/** Of a stream on which nobody need say anything, the two systems ask each other, and give up ten seconds later. */
const TCP_KEEPALIVE_MS = 30_000;

/**
 * Destroys the channel with `stalled` when the other end is gone without having said so, as behind a cut cable.
 * `beats`: the other end is never silent, so that silence is enough; otherwise it is only when it takes nothing of what waits for it.
 * An end that is slow itself, and leaves what has come unread, hears no silence.
 */
export function watchLife(channel: Socket, { clock, beats }: { clock: Clock; beats: boolean }) {
  channel.setNoDelay(true);
  channel.setKeepAlive(true, TCP_KEEPALIVE_MS);
  const over = new AbortController();
  channel.once("close", () => over.abort());
  void watch();

  async function watch(): Promise<void> {
    let last = signs();
    let since = clock.now().getTime();
    for (;;) {
      await pause(clock, LOOK_MS, over.signal);
      if (over.signal.aborted) return;
      const now = clock.now().getTime();
      const seen = signs();
      if (seen !== last || !isExpected()) {
        last = seen;
        since = now;
      } else if (now - since >= SILENT_MS) {
        const detail = `not a sign of the other host for ${SILENT_MS / 1000} s`;
        channel.destroy(new MoveStreamError("stalled", detail));
        return;
      }
    }
  }

  function signs(): string {
    const taken = channel.bytesWritten - channel.writableLength;
    return beats ? `${channel.bytesRead}` : `${channel.bytesRead} ${taken}`;
  }

  const isExpected = () => (beats ? channel.readableLength === 0 : channel.writableLength > 0);
}

import type { World } from "../world.ts";
import { plain } from "./format.ts";

export type Step = Readonly<{ percent: number; doing: string }>;
/** Of something that goes on: each look is told, and at the end the line is taken back. */
export type Progress = Readonly<{ show: (step: Step) => void; end: () => void }>;

const BAR = 24;

/**
 * On stderr, since stdout is for the answer: a bar that is drawn over itself on a terminal, and elsewhere a line for each
 * change. Nothing with `quiet`.
 */
export function createProgress(
  { stderr, clock }: Pick<World, "stderr" | "clock">,
  title: string,
  quiet: boolean,
): Progress {
  const began = +clock.now();
  let drawn = "";
  if (quiet) return { show: () => undefined, end: () => undefined };
  if (!stderr.isTty)
    return {
      show: ({ percent, doing }) => {
        const line = `${title}: ${percent}% ${doing}`;
        if (line !== drawn) stderr.write(`${plain(line)}\n`);
        drawn = line;
      },
      end: () => undefined,
    };
  return {
    show: ({ percent, doing }) => {
      const full = Math.round((Math.min(100, Math.max(0, percent)) / 100) * BAR);
      const bar = "█".repeat(full) + "░".repeat(BAR - full);
      const seconds = Math.round((+clock.now() - began) / 1000);
      const tail = `${bar} ${String(percent).padStart(3)}%  ${doing}  ${seconds} s`;
      // Longer than its line it would stand on two, of which only one is drawn over.
      const room = Math.max(0, stderr.columns - tail.length - 3);
      const name = title.length > room ? `${title.slice(0, Math.max(0, room - 1))}…` : title;
      drawn = plain(`${name}  ${tail}`).slice(0, stderr.columns - 1);
      stderr.write(`\r\u001b[2K${drawn}`);
    },
    end: () => {
      if (drawn !== "") stderr.write("\r\u001b[2K");
    },
  };
}

import { MOST_NOTICE_HOURS } from "#core/contracts/api/hosts.ts";
import { FORCED } from "../forced.ts";
import { hostId } from "../names.ts";
import { command, count, optional, required } from "./command.ts";
import { forced, REASON } from "./desk.ts";
import { HOST } from "./hosts.ts";

/* What brings a host from one state into another, each by a dry run and its hash (ADR 0055). */

const move = (
  words: string,
  summary: string,
  question: (host: string) => string,
  name: "cordonHost" | "activateHost" | "retireHost" | "cancelMaintenance",
) =>
  command(words, summary, {
    staff: true,
    args: { host: HOST },
    options: { reason: REASON, ...FORCED },
    run: async (session, { host }, { reason, ...options }) => {
      const id = await hostId(session, host);
      const client = await session.client();
      return forced(session, options, question(host), (more) =>
        client.call(name, { path: { id }, body: { reason, ...more } }),
      );
    },
  });

export const hostMoveCommands = [
  move("host cordon", "Let nothing new come to a host", (host) => `Cordon ${host}?`, "cordonHost"),
  move(
    "host activate",
    "Let a host get VMs again, and end its maintenance",
    (host) => `Activate ${host}?`,
    "activateHost",
  ),
  move(
    "host retire",
    "Give up a host for good that holds nothing",
    (host) => `Retire ${host} for good?`,
    "retireHost",
  ),

  command("host maintenance", "Plan a host's maintenance, or give it other times", {
    staff: true,
    args: { host: HOST },
    options: {
      end: required("when it ends at the latest, such as 2026-03-01T06:00:00Z", {
        value: "instant",
      }),
      start: optional("when it begins; left out, as planned already, or now", { value: "instant" }),
      noticeHours: count(
        "so many hours before customers are told; 0 at its beginning",
        MOST_NOTICE_HOURS,
        0,
      ),
      reason: REASON,
      ...FORCED,
    },
    run: async (session, { host }, { end, start, noticeHours, reason, ...options }) => {
      const id = await hostId(session, host);
      const client = await session.client();
      return forced(session, options, `Plan this maintenance of ${host}?`, (more) =>
        client.call("planMaintenance", {
          path: { id },
          body: { startsAt: start, endsAt: end, noticeHours, reason, ...more },
        }),
      );
    },
  }),
  move(
    "host cancel-maintenance",
    "Cancel a host's maintenance that has not begun",
    (host) => `Cancel the maintenance of ${host}?`,
    "cancelMaintenance",
  ),
];

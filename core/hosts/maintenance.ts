import { ok, refuse, type Refusal, type Result } from "#core/result.ts";

/** What a window is for: somebody is at the host, its reboot among it; or what runs on it is moved away by a stop (`core/moves/drain.ts`). */
export const WINDOW_KINDS = ["maintenance", "drain"] as const;
export type WindowKind = (typeof WINDOW_KINDS)[number];

/**
 * A time in which a host's VMs may be interrupted. `noticeHours`: customers with a VM on it are told so long before it
 * begins. `revision` rises whenever what they were told is not so any more.
 */
export type MaintenanceWindow = Readonly<{
  id: string;
  hostId: string;
  kind: WindowKind;
  startsAt: Date;
  endsAt: Date;
  noticeHours: number;
  revision: number;
  /** null: it has not begun, or nobody has looked since. */
  begunAt: Date | null;
  endedAt: Date | null;
  cancelledAt: Date | null;
}>;

export type AskedWindow = Readonly<{
  /** Left out: as it is planned already, or now. */
  startsAt?: Date | undefined;
  endsAt: Date;
  noticeHours?: number | undefined;
}>;

const HOUR_MS = 60 * 60_000;
/** Customers are told two days before, unless staff say otherwise. */
export const USUAL_NOTICE_HOURS = 48;
/** Whoever needs longer says so again: until its end nobody is alarmed when the host is silent. */
const LONGEST_HOURS = 72;
const FURTHEST_DAYS = 90;
/** Between a dry run and the call that carries its hash some time may pass. */
const BETWEEN_LOOK_AND_CALL_MS = 10 * 60_000;

export type WindowRefusal = Refusal<"maintenance_invalid" | "notice_too_short">;
type Times = Pick<MaintenanceWindow, "startsAt" | "endsAt" | "noticeHours">;

/** When customers are told of it. */
export const noticeAt = ({ startsAt, noticeHours }: Pick<Times, "startsAt" | "noticeHours">) =>
  new Date(+startsAt - noticeHours * HOUR_MS);

/** The times of a window that is asked for, or of one that is planned already or runs and gets others. */
export function decideWindow(
  open: MaintenanceWindow | null,
  asked: AskedWindow,
  now: Date,
): Result<Times, WindowRefusal> {
  const startsAt = asked.startsAt ?? open?.startsAt ?? now;
  const noticeHours = asked.noticeHours ?? open?.noticeHours ?? USUAL_NOTICE_HOURS;
  const { endsAt } = asked;
  const invalid = (why: string) => refuse("maintenance_invalid", why);
  if (open?.begunAt && +startsAt !== +open.startsAt)
    return invalid("it has begun: only its end can be another");
  if (endsAt <= startsAt || endsAt <= now)
    return invalid("it would end before it begins, or by now");
  if (+endsAt - +startsAt > LONGEST_HOURS * HOUR_MS)
    return invalid(`it takes ${LONGEST_HOURS} hours at most`);
  if (+startsAt - +now > FURTHEST_DAYS * 24 * HOUR_MS)
    return invalid(`it begins ${FURTHEST_DAYS} days from now at most`);
  // An end that is another moves nobody's beginning.
  const isNewBeginning = open === null || +startsAt !== +open.startsAt;
  const earliest = +now + noticeHours * HOUR_MS - BETWEEN_LOOK_AND_CALL_MS;
  if (isNewBeginning && +startsAt < earliest)
    return refuse(
      "notice_too_short",
      `customers are to be told ${noticeHours} hours before it begins: a later beginning, or fewer hours`,
    );
  return ok({ startsAt, endsAt, noticeHours });
}

/** Whether what customers were told of the one is not so of the other. */
export const isToldOtherwise = (
  one: Pick<Times, "startsAt" | "endsAt">,
  other: Pick<Times, "startsAt" | "endsAt">,
): boolean => +one.startsAt !== +other.startsAt || +one.endsAt !== +other.endsAt;

/** What a notice says of a window. */
export const NOTICE_KINDS = ["announced", "moved", "cancelled"] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

/** `wasTold`: an earlier mail told of it. null: what was never told needs no taking back. */
export function noticeKind(
  window: Pick<MaintenanceWindow, "cancelledAt">,
  wasTold: boolean,
): NoticeKind | null {
  if (window.cancelledAt !== null) return wasTold ? "cancelled" : null;
  return wasTold ? "moved" : "announced";
}

import type { AccountPrincipal } from "#core/accounts/accounts.ts";

/** Why a VM is not as it should be, as its host last said. */
export type ErrorSeen = Readonly<{
  lastErrorCode: string | null;
  lastErrorDetail: string | null;
  /** Since when its host says so, and in how many reports without a break. */
  lastErrorSince: Date | null;
  lastErrorTimes: number;
}>;

/** What a customer reads of a host's codes; a host's own words name its paths and its neighbours, and are for staff. */
const WORDS: Readonly<Record<string, string>> = {
  vm_missing: "Its host does not have it any more. Our staff have been told.",
  unsupported_by_agent: "Its host waits for an upgrade before it can be changed.",
};
const ANY_OTHER = "Its host could not bring it to what was asked for.";

/** Why a VM is not as it should be, as its host last said; null: nothing is amiss. */
export function shownError(
  vm: Pick<ErrorSeen, "lastErrorCode" | "lastErrorDetail">,
  who: Pick<AccountPrincipal, "role">,
): { code: string; message: string } | null {
  const { lastErrorCode: code, lastErrorDetail: detail } = vm;
  if (code === null) return null;
  return { code, message: who.role === "staff" ? (detail ?? "") : (WORDS[code] ?? ANY_OTHER) };
}

const NONE: ErrorSeen = {
  lastErrorCode: null,
  lastErrorDetail: null,
  lastErrorSince: null,
  lastErrorTimes: 0,
};

/** What is known of a VM's error after a report: one code is one error, however its words change. */
export function nextError(
  before: ErrorSeen,
  error: { code: string; detail: string } | null,
  now: Date,
): ErrorSeen {
  if (error === null) return NONE;
  const goesOn = before.lastErrorCode === error.code;
  return {
    lastErrorCode: error.code,
    lastErrorDetail: error.detail,
    lastErrorSince: (goesOn ? before.lastErrorSince : null) ?? now,
    lastErrorTimes: goesOn ? before.lastErrorTimes + 1 : 1,
  };
}

const REPEATS_FOR_MS = 15 * 60_000;
const REPEATS_TIMES = 3;

/** Whether it failed again and again for so long that somebody must look. */
export const keepsFailing = (
  { lastErrorSince, lastErrorTimes }: Pick<ErrorSeen, "lastErrorSince" | "lastErrorTimes">,
  now: Date,
): boolean =>
  lastErrorSince !== null &&
  lastErrorTimes >= REPEATS_TIMES &&
  +now - +lastErrorSince >= REPEATS_FOR_MS;

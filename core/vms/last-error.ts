import type { AccountPrincipal } from "#core/accounts/accounts.ts";
import type { KnownOfVm } from "./judge-report.ts";

/** What a customer reads of a host's codes; a host's own words name its paths and its neighbours, and are for staff. */
const WORDS: Readonly<Record<string, string>> = {
  vm_missing: "Its host does not have it any more. Our staff have been told.",
  unsupported_by_agent: "Its host waits for an upgrade before it can be changed.",
};
const ANY_OTHER = "Its host could not bring it to what was asked for.";

/** Why a VM is not as it should be, as its host last said; null: nothing is amiss. */
export function shownError(
  vm: Pick<KnownOfVm, "lastErrorCode" | "lastErrorDetail">,
  who: Pick<AccountPrincipal, "role">,
): { code: string; message: string } | null {
  const { lastErrorCode: code, lastErrorDetail: detail } = vm;
  if (code === null) return null;
  return { code, message: who.role === "staff" ? (detail ?? "") : (WORDS[code] ?? ANY_OTHER) };
}

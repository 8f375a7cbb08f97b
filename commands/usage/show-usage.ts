import { mayTouch, type AccountPrincipal } from "#core/accounts/accounts.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { OLDEST_SAMPLE_MS } from "#core/usage/judge-sample.ts";
import { usageBuckets, type UsageBucket } from "#db/usage/hours.ts";
import { endOf } from "#core/usage/spans.ts";
import { unmeasuredIn } from "#core/usage/unmeasured.ts";
import { measuredOf } from "#db/usage/meters.ts";
import { loadVm } from "#db/vms/vms.ts";
import type { Deps } from "#commands/deps.ts";

export type Usage = Readonly<{
  from: Date;
  to: Date;
  buckets: readonly UsageBucket[];
  measuredUntil: Date | null;
  /** Of all its hours that are shown, when a move kept anybody from measuring it. */
  unmeasured: readonly Readonly<{ from: Date; to: Date }>[];
}>;

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * A VM's usage, by hour or day; the last day when nothing else is asked, and 35 days at most. It is kept by whole hours
 * (UTC): one that the time asked for touches counts whole, and the answer's `from` and `to` say so.
 */
export async function showUsage(
  deps: Pick<Deps, "db" | "clock">,
  who: AccountPrincipal,
  q: { vmId: string; from: Date | undefined; to: Date | undefined; by: "hour" | "day" },
): Promise<Result<Usage, Refusal<"vm_not_found" | "invalid_request">>> {
  const vm = await loadVm(deps.db, q.vmId);
  if (!vm || !mayTouch(who, vm.accountId)) return refuse("vm_not_found", "no such VM");
  const to = q.to ?? deps.clock.now();
  const from = q.from ?? new Date(+to - DAY_MS);
  if (from >= to) return refuse("invalid_request", "`from` must be before `to`");
  if (+to - +from > OLDEST_SAMPLE_MS)
    return refuse("invalid_request", "35 days at most can be asked for at once");
  const hours = {
    from: new Date(Math.floor(+from / HOUR_MS) * HOUR_MS),
    to: new Date(Math.ceil(+to / HOUR_MS) * HOUR_MS),
  };
  const [buckets, { measured, releases }] = await Promise.all([
    usageBuckets(deps.db, { vmId: vm.id, ...hours, by: q.by }),
    measuredOf(deps.db, vm.id),
  ]);
  const until = endOf(measured);
  return ok({
    ...hours,
    buckets,
    measuredUntil: until === undefined ? null : new Date(until),
    unmeasured: unmeasuredIn(measured, releases)
      .filter(([begins, ends]) => begins < +hours.to && ends > +hours.from)
      .map(([begins, ends]) => ({ from: new Date(begins), to: new Date(ends) })),
  });
}

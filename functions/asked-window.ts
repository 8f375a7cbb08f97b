import type { AskedWindow } from "#core/hosts/maintenance.ts";

type OnWire = Readonly<{
  startsAt?: string | undefined;
  endsAt: string;
  noticeHours?: number | undefined;
}>;

/** Times in which a host's VMs may be interrupted, as staff name them. */
export const toAskedWindow = ({ startsAt, endsAt, noticeHours }: OnWire): AskedWindow => ({
  startsAt: startsAt === undefined ? undefined : new Date(startsAt),
  endsAt: new Date(endsAt),
  noticeHours,
});

import type { z } from "@hono/zod-openapi";
import { ROLES } from "#core/accounts/accounts.ts";
import type { AccountQuery } from "#core/contracts/api/accounts.ts";
import type { AuditQuery } from "#core/contracts/api/audit.ts";
import type { FindingQuery } from "#core/contracts/api/findings.ts";
import type { HostQuery } from "#core/contracts/api/hosts.ts";
import type { OrderQuery } from "#core/contracts/api/orders.ts";
import type { MoveQuery } from "#core/contracts/api/moves.ts";
import type { StaffActionQuery, StaffVmQuery } from "#core/contracts/api/staff-vms.ts";
import { HOST_STATES } from "#core/hosts/host-state.ts";
import { toWireId } from "#core/ids.ts";
import { ORDER_STATES } from "#core/orders/order.ts";
import { ACTION_STATUSES, ACTION_TYPES } from "#core/vms/action.ts";
import { vmId } from "./bench-fleet-rows.ts";
import type { Skewed } from "./bench-staff-rows.ts";

/* What `bench:staff` asks for. */

type Asked = Readonly<{ name: string; target: string }>;
type Ask = (target: string) => Promise<{ nextCursor?: string | null | undefined }>;

/** Every filter of a route, with what is asked of it: one that is missing here does not compile. */
type FiltersOf<Query extends z.ZodType> = Readonly<
  Record<Exclude<keyof z.input<Query>, "limit" | "cursor" | "sort">, readonly string[]>
>;
/** And every order. */
type SortsOf<Query extends z.ZodType> =
  z.output<Query> extends { sort: { by: infer By extends string } }
    ? Readonly<Record<By, true>>
    : Readonly<Record<string, never>>;
type List = Readonly<{
  path: string;
  sorts: readonly string[];
  filters: Readonly<Record<string, readonly string[]>>;
}>;

const listOf = <Query extends z.ZodType>(
  path: string,
  sorts: SortsOf<Query>,
  filters: FiltersOf<Query>,
): List => ({
  path,
  sorts: Object.keys(sorts).flatMap((key) => [key, `-${key}`]),
  filters,
});

const DAY_MS = 24 * 3600 * 1000;

/** Each filter as a person would use it, and as an index answers it worst: of much, of little, and of nothing. */
function listsOf(of: Skewed, staffId: string): readonly List[] {
  const vms = [of.someVm, of.busyVm].map((id) => toWireId("vm", id));
  const ago = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString();
  const accounts = [of.smallAccount, of.bigAccount].map((id) => toWireId("account", id));
  const locations = [of.bigLocation, of.smallLocation].map((id) => toWireId("location", id));
  const hosts = [toWireId("host", of.fullHost)];
  return [
    listOf<typeof AccountQuery>(
      "/staff/v1/accounts",
      { createdAt: true, email: true },
      {
        role: ROLES,
        email: ["bench", "acme-", "bench-4", "nobody"],
        closed: ["true", "false"],
      },
    ),
    listOf<typeof StaffVmQuery>(
      "/staff/v1/vms",
      { createdAt: true, hostname: true },
      {
        accountId: accounts,
        hostId: hosts,
        locationId: locations,
        planId: [of.usualPlan, of.rarePlan].map((id) => toWireId("plan", id)),
        presence: ["lost", "gone", "any"],
      },
    ),
    listOf<typeof OrderQuery>(
      "/staff/v1/orders",
      { createdAt: true },
      {
        accountId: accounts,
        state: ORDER_STATES,
      },
    ),
    listOf<typeof StaffActionQuery>(
      "/staff/v1/actions",
      { startedAt: true },
      {
        vmId: vms,
        status: ACTION_STATUSES,
        type: ACTION_TYPES,
      },
    ),
    listOf<typeof HostQuery>(
      "/staff/v1/hosts",
      { createdAt: true, name: true },
      {
        locationId: locations,
        state: HOST_STATES,
        group: ["old", "rack-1", "nobodys"],
      },
    ),
    listOf<typeof MoveQuery>(
      "/staff/v1/moves",
      {},
      {
        vmId: vms,
        hostId: hosts,
        state: ["open", "ended"],
      },
    ),
    listOf<typeof AuditQuery>(
      "/staff/v1/audit",
      {},
      {
        subject: [...vms, ...hosts],
        actor: ["sweep", toWireId("account", staffId), "nobody"],
        from: [ago(5)],
        to: [ago(10), ago(1)],
      },
    ),
    listOf<typeof FindingQuery>(
      "/staff/v1/findings",
      {},
      {
        state: ["open", "ended"],
        hostId: hosts,
        vmId: vms,
        kind: ["vm_lost", "image_changed", "clock_off"],
      },
    ),
  ];
}

/** Nothing, each filter with each of its values, each two filters with all of theirs, and all at once. */
function combinationsOf(filters: List["filters"]): readonly Readonly<Record<string, string>>[] {
  const keys = Object.keys(filters);
  const alone = (key: string) => (filters[key] ?? []).map((value) => ({ [key]: value }));
  const pairs = keys.flatMap((one, nth) =>
    keys
      .slice(nth + 1)
      .flatMap((other) => alone(one).flatMap((a) => alone(other).map((b) => ({ ...a, ...b })))),
  );
  const all = keys.length > 2 ? [Object.assign({}, ...keys.flatMap((key) => alone(key)))] : [];
  return [{}, ...keys.flatMap(alone), ...pairs, ...all];
}

/** By what is known of one thing; what many names begin with, and all; what nobody has. */
function searchesOf(vms: number): readonly string[] {
  const middle = vms / 2;
  return [
    toWireId("vm", vmId(middle)),
    vmId(middle),
    "10.0.10.2",
    `vm-${middle}`,
    "vm-",
    "v",
    "acme-",
    "shop ",
    `bench-${middle / 10}@`,
    "bench",
    "ada",
    `cs_${middle}`,
    `sub_${middle}`,
    `in_${middle}`,
    "cus_nobody",
    "nothing of the sort",
    "%",
  ];
}

/** All that is asked for: of lists also the second page, where there is one. */
export async function* askedOf(
  of: Skewed,
  vms: number,
  staffId: string,
  ask: Ask,
): AsyncGenerator<Asked> {
  for (const { path, sorts, filters } of listsOf(of, staffId))
    for (const combination of combinationsOf(filters))
      for (const sort of sorts.length === 0 ? [undefined] : sorts) {
        const query = new URLSearchParams({ ...combination, ...(sort !== undefined && { sort }) });
        const target = `${path}?${query.toString()}`;
        yield { name: target, target };
        if (Object.keys(combination).length > 1) continue;
        const { nextCursor } = await ask(target);
        if (typeof nextCursor !== "string") continue;
        query.set("cursor", nextCursor);
        yield { name: `${target}, its second page`, target: `${path}?${query.toString()}` };
      }
  for (const id of [of.smallAccount, of.bigAccount]) {
    const target = `/staff/v1/accounts/${toWireId("account", id)}`;
    yield { name: target, target };
  }
  for (const q of searchesOf(vms)) {
    const target = `/staff/v1/search?${new URLSearchParams({ q }).toString()}`;
    yield { name: target, target };
  }
}

import type { Answered } from "../api/client.ts";
import { moneyText } from "#core/money-text.ts";
import { Failure } from "../failure.ts";
import { accountId, catalogueId, hostId, maybe, vmId } from "../names.ts";
import { bytes, cpuSeconds, listed as joined, NOTHING, size, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Cell, type Column } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { WATCH } from "../watch.ts";
import { byHash, FORCED } from "../forced.ts";
import { showAction } from "./actions.ts";
import { command, flag, mustBeOneOf, oneOf, optional, required } from "./command.ts";

type Vm = Answered<"showVm">["value"];

/** Of a VM that is named by its id, its host name or its label. */
export const VM = required("a VM's id, host name or label", { names: "vm", value: "vm" });

export const VM_COLUMNS: readonly Column[] = columnsOf(
  "ID!",
  "HOST NAME",
  "STATUS!",
  "ADDRESS",
  "LABEL?",
  "SIZE?",
);
export const vmRow = (vm: Vm) => [
  vm.id,
  vm.hostname,
  toned(vm.status),
  joined(vm.addresses),
  vm.label ?? NOTHING,
  size(vm.size),
];

/** What is owed, and what becomes of it. */
const overdueFields = (of: NonNullable<Vm["overdue"]>): readonly (readonly [string, Cell])[] => [
  ["not paid since", { text: when(of.since), tone: "bad" }],
  ...(of.suspendsAt === null ? [] : ([["stops", when(of.suspendsAt)]] as const)),
  ...(of.endsAt === null ? [] : ([["ends", when(of.endsAt)]] as const)),
  ...(of.deletesAt === null ? [] : ([["is deleted", when(of.deletesAt)]] as const)),
  ...(of.payUrl === null ? [] : ([["pay at", of.payUrl]] as const)),
  ...(of.state === "terminated" ? ([["to have it back", "berth vm revive"]] as const) : []),
];

export const vmBlock = (vm: Vm): Block => ({
  kind: "fields",
  fields: [
    ["id", vm.id],
    ["host name", vm.hostname],
    ["label", vm.label ?? NOTHING],
    ["status", toned(vm.status)],
    ["power", `wanted ${vm.power.desired}, seen ${vm.power.observed ?? "not yet"}`],
    ["guest", toned(vm.guest)],
    ...(vm.suspended.length === 0 ? [] : ([["suspended for", joined(vm.suspended)]] as const)),
    ...(vm.suspendedBecause.length === 0
      ? []
      : ([["because", vm.suspendedBecause.join(" ")]] as const)),
    ...(vm.cancelled ? ([["ends", when(vm.cancelAt)]] as const) : []),
    ...(vm.overdue === null ? [] : overdueFields(vm.overdue)),
    ["delete", vm.deleteProtected ? "protected" : "as asked for"],
    ...(vm.lostSince === null ? [] : ([["lost since", when(vm.lostSince)]] as const)),
    ...(vm.lastError === null
      ? []
      : ([
          ["error", { text: `${vm.lastError.code}: ${vm.lastError.message}`, tone: "bad" }],
        ] as const)),
    ["busy with", vm.lockedBy ?? NOTHING],
    ["addresses", joined(vm.addresses)],
    ["size", size(vm.size)],
    ["plan", `${vm.planId}, version ${vm.planVersion}`],
    ["image", vm.imageId],
    ["location", vm.locationId],
    ["price", vm.price === null ? NOTHING : `${moneyText(vm.price.amount)} a ${vm.price.interval}`],
    ["paid until", when(vm.entitledUntil)],
    ["order", vm.orderId ?? NOTHING],
    ["made", when(vm.createdAt)],
  ],
});

const STAFF_FILTERS = {
  account: optional("staff: whose, by an account's id or e-mail address", {
    names: "account",
    value: "account",
  }),
  host: optional("staff: on which host, by its name or id", { names: "host", value: "host" }),
  location: optional("staff: at which location", { names: "location", value: "location" }),
  plan: optional("staff: of which plan", { names: "plan", value: "plan" }),
  presence: oneOf("staff: whether they are there (here)", ["here", "lost", "gone", "any"]),
  sort: oneOf("staff: in which order", ["createdAt", "-createdAt", "hostname", "-hostname"]),
} as const;

async function ownVms(session: Session, range: Parameters<typeof listed>[3], filters: object) {
  const given = Object.entries(filters).find(([, value]) => value !== undefined)?.[0];
  if (given !== undefined)
    throw new Failure("usage", "for_staff", `--${given} is for staff`, {
      wayOut: "berth vm list shows all of your VMs with --all",
    });
  return listed(session, "listVms", {}, range);
}

export const vmCommands = [
  command("vm list", "Your VMs; for staff, everybody's", {
    options: { ...RANGE, ...STAFF_FILTERS },
    run: async (session, _, { limit, all, cursor, ...filters }) => {
      const range = { limit, all, cursor };
      const { account, host, location, plan, presence, sort } = filters;
      const { items, json, next } = (await session.isStaff())
        ? await listed(
            session,
            "listStaffVms",
            {
              query: {
                accountId: await maybe(account, (name) => accountId(session, name)),
                hostId: await maybe(host, (name) => hostId(session, name)),
                locationId: await maybe(location, (n) => catalogueId(session, "location", n)),
                planId: await maybe(plan, (name) => catalogueId(session, "plan", name)),
                presence,
                sort,
              },
            },
            range,
          )
        : await ownVms(session, range, filters);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [{ kind: "table", columns: VM_COLUMNS, rows: items.map(vmRow) }],
      };
    },
  }),

  command("vm show", "One VM; `berth why` says more to staff", {
    args: { vm: VM },
    run: async (session, { vm }) => {
      const id = await vmId(session, vm);
      const { value, raw } = await (await session.client()).call("showVm", { path: { id } });
      return { json: raw, ids: [id], blocks: [vmBlock(value)] };
    },
  }),

  command("vm power", "Start, shut down, stop, reboot or reset a VM", {
    args: {
      vm: VM,
      how: mustBeOneOf(
        "`shutdown` and `reboot` ask the guest, `stop` and `reset` do not",
        ["start", "shutdown", "stop", "reboot", "reset"],
        "how",
      ),
    },
    options: {
      yes: flag("do not ask before `stop` and `reset`"),
      idempotencyKey: optional("the same key and request act once", { value: "key" }),
      ...WATCH,
    },
    run: async (session, { vm, how }, { yes, idempotencyKey, ...watch }) => {
      const id = await vmId(session, vm);
      if (how === "stop" || how === "reset")
        await session.confirm(`${how} ${vm} as if its power were cut?`, yes);
      const client = await session.client();
      const { value, raw } = await client.call("requestAction", {
        path: { id },
        body: { type: how },
        key: idempotencyKey,
      });
      return showAction(session, { value: value.action, raw: Object(raw).action }, watch, vm);
    },
  }),

  command("vm rename", "What you call a VM (its label); its host name stays", {
    args: {
      vm: VM,
      label: optional("the new label; left out, it has none any more", { value: "label" }),
    },
    run: async (session, { vm, label }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      const { value, raw } = await client.call("changeVm", {
        path: { id },
        body: { label: label ?? null },
      });
      return { json: raw, ids: [id], blocks: [vmBlock(value)] };
    },
  }),

  command("vm password", "The password of a new VM, shown this once", {
    args: { vm: VM },
    run: async (session, { vm }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      const { value, raw } = await client.call("takeInitialPassword", { path: { id } });
      return {
        json: raw,
        ids: [value.password],
        blocks: [
          {
            kind: "fields",
            fields: [
              ["user", value.username],
              ["password", value.password],
            ],
          },
        ],
        next: "change it: it was shown this once, and is kept nowhere",
      };
    },
  }),

  command("vm usage", "What a VM used, by the hour or by the day", {
    args: { vm: VM },
    options: {
      from: optional("from when on, such as 2026-03-01T00:00:00Z (a day ago)", {
        value: "instant",
      }),
      to: optional("until when (now)", { value: "instant" }),
      by: oneOf("how long each row is (hour)", ["hour", "day"]),
    },
    run: async (session, { vm }, query) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      const { value, raw } = await client.call("showUsage", { path: { id }, query });
      const row = (label: string, of: typeof value.totals) => [
        label,
        cpuSeconds(of.cpuNs),
        bytes(of.rxBytes),
        bytes(of.txBytes),
        bytes(of.readBytes),
        bytes(of.writeBytes),
      ];
      return {
        json: raw,
        ids: [id],
        blocks: [
          {
            kind: "table",
            columns: columnsOf("FROM!", "CPU", "RECEIVED", "SENT", "READ", "WRITTEN"),
            rows: [
              ...value.buckets.map((bucket) => row(when(bucket.from), bucket)),
              row("in all", value.totals),
            ],
          },
          { kind: "fields", fields: [["measured until", when(value.measuredUntil)]] },
        ],
      };
    },
  }),

  command("vm delete", "Delete a VM and all that is on it", {
    args: { vm: VM },
    options: { yes: flag("do not ask"), ...WATCH },
    run: async (session, { vm }, { yes, ...watch }) => {
      const id = await vmId(session, vm);
      await session.confirm(`Delete ${vm} and all that is on it?`, yes);
      const { value, raw } = await (await session.client()).call("deleteVm", { path: { id } });
      return showAction(session, { value: value.action, raw: Object(raw).action }, watch, vm);
    },
  }),

  command("vm repair", "Bring back, or give up, a VM that its host has lost", {
    staff: true,
    args: {
      vm: VM,
      how: mustBeOneOf(
        "on its disk, on the one in its host's trash, anew without what was on it, or deleted",
        ["adopt_disk", "restore_trash", "recreate", "give_up"],
        "how",
      ),
    },
    options: { ...FORCED, ...WATCH },
    run: async (session, { vm, how }, { dryRun, hash, yes, ...watch }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      const { answer, done } = await byHash(
        session,
        { dryRun, hash, yes },
        `${how} ${vm}?`,
        (more) => client.call("repairVm", { path: { id }, body: { how, ...more } }),
        ({ value }) => ("action" in value ? { effects: [], hash: "" } : value),
      );
      const { value, raw } = answer;
      if ("action" in value)
        return showAction(session, { value: value.action, raw: Object(raw).action }, watch, vm);
      return {
        json: raw,
        ids: [value.hash],
        blocks: [{ kind: "lines", title: "It would:", lines: value.effects }],
        next: done ? undefined : `berth vm repair ${vm} ${how} --hash ${value.hash}`,
      };
    },
  }),
];

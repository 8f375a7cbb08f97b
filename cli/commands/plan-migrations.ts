import { BillingInterval } from "#core/contracts/api/catalogue.ts";
import { moneyText } from "#core/money-text.ts";
import { ChangePrice, PlanMigrationVmQuery } from "#core/contracts/api/plan-migrations.ts";
import { ChangeWhen } from "#core/contracts/api/resizes.ts";
import type { Answered } from "../api/client.ts";
import { Failure } from "../failure.ts";
import { byHash, FORCED } from "../forced.ts";
import { accountId, catalogueId, hostId, maybe } from "../names.ts";
import { NOTHING, size, when } from "../output/format.ts";
import { columnsOf, toned, type Block, type Shown } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { until, WATCH } from "../watch.ts";
import { command, count, flag, oneOf, optional, required, type Values } from "./command.ts";

type Migration = Answered<"showPlanMigration">["value"];

const MIGRATION = required("a plan migration's id", { value: "migration" });

const OPTIONS = {
  from: required("the plan that VMs come from, by its name or id", {
    names: "plan",
    value: "plan",
  }),
  version: count("of that plan: this version alone (all but the one they come to)", 2 ** 31 - 1),
  to: required("the plan that they come to", { names: "plan", value: "plan" }),
  location: optional("those there alone", { names: "location", value: "location" }),
  host: optional("those on this host alone", { names: "host", value: "host" }),
  account: optional("those of this account alone", { names: "account", value: "account" }),
  interval: oneOf("those that are paid so alone", BillingInterval.options),
  when: oneOf("at once, or at each one's renewal (now)", ChangeWhen.options),
  price: oneOf("the new price, or each one's own (new)", ChangePrice.options),
  maxParallel: count("so many at once, at most (5)", 1_000),
  stopAfterFailures: count("it pauses when so many could not (3)", 1_000),
  announceDays: optional("owners are told so many days before; 0: they are not (7)", {
    value: "days",
    read: (text) => {
      if (!/^\d{1,2}$/.test(text) || Number(text) > 90)
        throw new TypeError("a whole number from 0 to 90");
      return text;
    },
  }),
  reason: required("why, for the audit", { value: "text" }),
  ...FORCED,
  ...WATCH,
} as const;

const countsOf = (vms: Migration["vms"]): string =>
  Object.entries(vms)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `${number} ${state.replace("left_out", "left out")}`)
    .join(", ");

/** A VM that moves is resized where it arrives. */
const howOf = (method: Migration["totals"]["methods"][number]["method"]): string =>
  method === "move" ? "move and resize" : method;

const blocksOf = (m: Migration): readonly Block[] => [
  {
    kind: "fields",
    fields: [
      ["id", m.id],
      ["state", toned(m.state)],
      ["to", `version ${m.to.version} of ${m.to.planId}`],
      ["when", m.when],
      ["price", m.price],
      ["at once", String(m.maxParallel)],
      ["pauses after", `${m.stopAfterFailures} failed`],
      ["told before", `${m.announceDays} days`],
      ["vms", countsOf(m.vms)],
      [
        "how",
        m.totals.methods.map(({ method, vms }) => `${vms} ${howOf(method)}`).join(", ") || NOTHING,
      ],
      ["dearer by", m.totals.differences.map(moneyText).join(", ") || NOTHING],
      [
        "refused for",
        m.totals.refusals.map(({ code, vms }) => `${code} (${vms})`).join(", ") || NOTHING,
      ],
      ["last moved", when(m.movedAt)],
      ["reason", m.reason],
    ],
  },
];

const effectsOf = (m: Migration): readonly string[] => {
  const { vms, totals } = m;
  return [
    `${vms.waiting} VMs come to version ${m.to.version}${m.when === "now" ? "" : ", each at its renewal"}`,
    ...totals.methods.map(({ method, vms: n }) => `${n} of them by ${howOf(method)}`),
    ...totals.differences.map((of) => `their prices rise by ${moneyText(of)} in all`),
    ...(vms.refused === 0 ? [] : [`${vms.refused} VMs stay as they are: they are refused`]),
    ...(m.announceDays === 0
      ? ["nobody is told before"]
      : [`owners are told ${m.announceDays} days before`]),
  ];
};

async function create(session: Session, options: Values<typeof OPTIONS>): Promise<Shown> {
  const { from, to, reason, dryRun, hash, yes } = options;
  const body = {
    from: { planId: await catalogueId(session, "plan", from), version: options.version },
    to: { planId: await catalogueId(session, "plan", to) },
    filter: {
      locationId: await maybe(options.location, (of) => catalogueId(session, "location", of)),
      hostId: await maybe(options.host, (of) => hostId(session, of)),
      accountId: await maybe(options.account, (of) => accountId(session, of)),
      billingInterval: options.interval,
    },
    when: options.when ?? "now",
    price: options.price ?? "new",
    maxParallel: options.maxParallel,
    stopAfterFailures: options.stopAfterFailures,
    announceDays: options.announceDays === undefined ? undefined : Number(options.announceDays),
    reason,
  } as const;
  const client = await session.client();
  const { answer, done } = await byHash(
    session,
    { dryRun, hash, yes },
    "Begin it?",
    (more) => client.call("migratePlans", { body: { ...body, ...more } }),
    ({ value }) => {
      if (value.hash === null) throw new Error("a dry run that is not whole");
      return { effects: effectsOf(value), hash: value.hash };
    },
  );
  const { value, raw } = answer;
  if (done) return shown(session, value.id, options, { value, raw });
  return {
    json: raw,
    ids: [value.id],
    blocks: blocksOf(value),
    next: `berth plan-migration show ${value.id} --vms refused; the same with --hash ${value.hash} begins it`,
  };
}

type Watched = Readonly<{ watch?: boolean | undefined; timeout?: number | undefined }>;
type Looked = Readonly<{ value: Migration; raw: unknown }>;

/** Where it is, or, watched, where it came to: what could not be done says so by how the command ends. */
async function shown(
  session: Session,
  id: string,
  { watch, timeout }: Watched,
  known: Looked,
): Promise<Shown> {
  if (!watch)
    return {
      json: known.raw,
      ids: [id],
      blocks: blocksOf(known.value),
      next: `berth plan-migration show ${id} --watch`,
    };
  const client = await session.client();
  const { seen, timedOut } = await until(
    session,
    id,
    timeout,
    () => client.call("showPlanMigration", { path: { id } }),
    ({ value: { state, vms } }) => {
      const { refused: _refused, ...rest } = vms;
      const all = Object.values(rest).reduce((sum, n) => sum + n, 0);
      const open = rest.waiting + rest.judging + rest.moving + rest.arrived + rest.running;
      return {
        percent: all === 0 ? 100 : Math.round(((all - open) / all) * 100),
        doing: `${state}: ${countsOf(vms)}`,
        ended: state !== "running",
      };
    },
  );
  const { value, raw } = seen;
  return {
    json: raw,
    ids: [id],
    blocks: blocksOf(value),
    ...(timedOut
      ? {
          failed: new Failure("timed_out", "still_running", "it has not ended yet, and goes on", {
            wayOut: `berth plan-migration show ${id} --watch`,
          }),
        }
      : value.state === "paused"
        ? {
            failed: new Failure("failed", "plan_migration_paused", "it is paused", {
              wayOut: `berth plan-migration show ${id} --vms failed, and then retry or resume`,
            }),
          }
        : {}),
  };
}

type Verb = "pause" | "resume" | "stop" | "retry";

async function change(session: Session, id: string, verb: Verb, watch: Watched): Promise<Shown> {
  const client = await session.client();
  const changed = await client.call("changePlanMigration", { path: { id }, body: { do: verb } });
  return shown(session, id, watch, changed);
}

const changing = (verb: Exclude<Verb, "stop">, summary: string) =>
  command(`plan-migration ${verb}`, summary, {
    staff: true,
    args: { migration: MIGRATION },
    options: { ...WATCH },
    run: (session, { migration }, watch) => change(session, migration, verb, watch),
  });

export const planMigrationCommands = [
  command("plan-migration create", "Bring many VMs from one plan to another", {
    staff: true,
    options: OPTIONS,
    run: (session, _, options) => create(session, options),
  }),

  command("plan-migration list", "Plan migrations, and dry runs of some days", {
    staff: true,
    options: { ...RANGE },
    run: async (session, _, range) => {
      const { items, json, next } = await listed(session, "listPlanMigrations", {}, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("ID!", "STATE!", "VMS!", "WHEN", "PRICE", "MADE?"),
            rows: items.map((m) => [
              m.id,
              toned(m.state),
              countsOf(m.vms),
              m.when,
              m.price,
              when(m.createdAt),
            ]),
          },
        ],
      };
    },
  }),

  command("plan-migration show", "One plan migration, how far it is, and its VMs", {
    staff: true,
    args: { migration: MIGRATION },
    options: {
      vms: oneOf(
        "its VMs that are there, each with its action",
        PlanMigrationVmQuery.shape.state.unwrap().options,
      ),
      ...RANGE,
      ...WATCH,
    },
    run: async (session, { migration: id }, { vms: state, watch, timeout, ...range }) => {
      const client = await session.client();
      const found = await client.call("showPlanMigration", { path: { id } });
      if (state === undefined) return shown(session, id, { watch, timeout }, found);
      const of = { path: { id }, query: { state } };
      const { items, json, next } = await listed(session, "listPlanMigrationVms", of, range);
      return {
        json,
        ids: items.map(({ vmId }) => vmId),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf(
              "VM!",
              "NAME!",
              "HAS",
              "DISK",
              "HOW",
              "TO",
              "DEARER BY",
              "ACTION",
              "WHY",
            ),
            rows: items.map((vm) => [
              vm.vmId,
              vm.hostname,
              size(vm.from),
              `${vm.toDiskGib} GiB`,
              howOf(vm.method),
              vm.toHost?.name ?? NOTHING,
              vm.difference === null ? NOTHING : moneyText(vm.difference),
              vm.actionId ?? vm.moveActionId ?? NOTHING,
              vm.detail ?? (vm.refusals.join(", ") || NOTHING),
            ]),
          },
        ],
      };
    },
  }),

  changing("pause", "Begin no more VMs of a plan migration for now"),
  changing("resume", "Go on with a plan migration"),

  command("plan-migration stop", "End a plan migration: what was begun goes on to its end", {
    staff: true,
    args: { migration: MIGRATION },
    options: { yes: flag("do not ask"), ...WATCH },
    run: async (session, { migration }, { yes, ...watch }) => {
      await session.confirm(`Stop the plan migration ${migration}?`, yes);
      return change(session, migration, "stop", watch);
    },
  }),

  changing("retry", "Let what failed of a plan migration have another turn"),
];

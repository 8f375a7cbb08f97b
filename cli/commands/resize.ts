import { BillingInterval } from "#core/contracts/api/catalogue.ts";
import { moneyText } from "#core/money-text.ts";
import { ChangeBilling, ChangeWhen } from "#core/contracts/api/resizes.ts";
import type { Answered } from "../api/client.ts";
import { Failure } from "../failure.ts";
import { byHash, FORCED } from "../forced.ts";
import { catalogueId, vmId } from "../names.ts";
import { NOTHING, size, when } from "../output/format.ts";
import { columnsOf, type Block, type Shown } from "../output/shown.ts";
import type { Session } from "../session.ts";
import { WATCH } from "../watch.ts";
import { showAction } from "./actions.ts";
import { command, flag, oneOf, optional, type Values } from "./command.ts";
import { VM } from "./vms.ts";

type Quoted = Answered<"quoteResize">["value"];
type Quote = NonNullable<Quoted["quote"]>;
type Refusals = Quoted["refusals"];
type Price = Quote["recurring"]["before"];

const priceOf = (price: Price): string =>
  price === null ? NOTHING : `${moneyText(price.amount)} a ${price.interval}`;
const downFor = (method: string, seconds: number): string =>
  seconds === 0 ? `${method}, without being down` : `${method}, down for ${seconds} s`;

const quoteBlocks = (quote: Quote): readonly Block[] => [
  {
    kind: "fields",
    fields: [
      ["quote", quote.id],
      ["now", size(quote.from.size)],
      ["then", size(quote.to.size)],
      ["made", quote.when === "now" ? "now" : `at the renewal, ${when(quote.appliesAt)}`],
      ["how", downFor(quote.method, quote.downSeconds)],
      ["due now", quote.dueNow === null ? NOTHING : moneyText(quote.dueNow)],
      ["to the balance", quote.credit === null ? NOTHING : moneyText(quote.credit)],
      ["price now", priceOf(quote.recurring.before)],
      ["price then", priceOf(quote.recurring.after)],
      ["good until", when(quote.expiresAt)],
    ],
  },
  ...(quote.lines.length === 0
    ? []
    : ([
        {
          kind: "table",
          columns: columnsOf("LINE!", "AMOUNT!", "FROM", "UNTIL"),
          rows: quote.lines.map((line) => [
            line.kind,
            moneyText(line.amount),
            when(line.from),
            when(line.until),
          ]),
        },
      ] as const)),
];

const refused = (refusals: Refusals): Failure =>
  new Failure(
    "refused",
    refusals[0]?.code ?? "resize_refused",
    refusals[0]?.detail ?? "it cannot be done",
    { wayOut: "berth vm resize-options shows what can be" },
  );

/** What stands against it, each with its code; the first one's is the command's. */
const refusedShown = (json: unknown, refusals: Refusals): Shown => ({
  json,
  ids: [],
  blocks: [
    {
      kind: "lines",
      title: "It cannot be done:",
      lines: refusals.map(({ code, detail }) => `${code}: ${detail}`),
    },
  ],
  failed: refused(refusals),
});

const OPTIONS = {
  plan: optional("the plan that it is to have, by its name or id", {
    names: "plan",
    value: "plan",
  }),
  interval: oneOf("how it is to be paid (as it is)", BillingInterval.options),
  keepDisk: flag("the disk stays as small as it is, so that the way down stays open"),
  quote: optional("take a quote of a dry run, without asking", { value: "quote" }),
  when: oneOf("staff: at once, or at the renewal (now)", ChangeWhen.options),
  billing: oneOf(
    "staff: charge for the rest of the period, or not (prorate)",
    ChangeBilling.options,
  ),
  reason: optional("staff: why, for the audit", { value: "text" }),
  idempotencyKey: optional("the same key and request act once", { value: "key" }),
  ...FORCED,
  ...WATCH,
} as const;
type Options = Values<typeof OPTIONS>;

async function resizeOwn(session: Session, vm: string, options: Options): Promise<Shown> {
  const { plan, interval, keepDisk, dryRun, yes, idempotencyKey: key, ...watch } = options;
  const id = await vmId(session, vm);
  const client = await session.client();
  let { quote: quoteId } = options;
  if (quoteId === undefined) {
    if (plan === undefined) throw planMissing();
    const planId = await catalogueId(session, "plan", plan);
    const { value, raw } = await client.call("quoteResize", {
      path: { id },
      body: { planId, billingInterval: interval, keepDisk: keepDisk ?? false },
    });
    const { quote, refusals } = value;
    if (quote === null) return refusedShown(raw, refusals);
    const blocks = quoteBlocks(quote);
    if (dryRun)
      return {
        json: raw,
        ids: [quote.id],
        blocks,
        next: `berth vm resize ${vm} --quote ${quote.id}`,
      };
    if (!yes) await session.explain(blocks);
    const due = quote.dueNow === null ? "" : ` for ${moneyText(quote.dueNow)} now`;
    await session.confirm(`Resize ${vm}${due}?`, yes);
    quoteId = quote.id;
  }
  const { value, raw } = await client.call("requestAction", {
    path: { id },
    body: { type: "resize", quoteId },
    key,
  });
  return showAction(session, { value: value.action, raw: Object(raw).action }, watch, vm);
}

async function resizeByStaff(session: Session, vm: string, options: Options): Promise<Shown> {
  const { plan, interval, keepDisk, dryRun, reason, yes, idempotencyKey: key, ...watch } = options;
  if (plan === undefined) throw planMissing();
  if (reason === undefined)
    throw new Failure("usage", "reason_missing", "staff say why they change what is another's", {
      wayOut: '--reason "…"',
    });
  const id = await vmId(session, vm);
  const body = {
    planId: await catalogueId(session, "plan", plan),
    billingInterval: interval,
    keepDisk: keepDisk ?? false,
    when: options.when ?? "now",
    billing: options.billing ?? "prorate",
    reason,
  } as const;
  const client = await session.client();
  const { answer } = await byHash(
    session,
    { dryRun, hash: options.hash, yes },
    `Resize ${vm}?`,
    (more) => client.call("resizeForStaff", { path: { id }, body: { ...body, ...more }, key }),
    ({ value }) => {
      if ("action" in value) throw new Error("a dry run has begun an action");
      if (value.hash === null) throw refused(value.refusals);
      return { hash: value.hash, effects: value.effects };
    },
  );
  const { value, raw } = answer;
  if ("action" in value)
    return showAction(session, { value: value.action, raw: Object(raw).action }, watch, vm);
  const { quote, refusals, effects, hash } = value;
  if (hash === null) return refusedShown(raw, refusals);
  return {
    json: raw,
    ids: [hash],
    blocks: [
      ...(quote === null ? [] : quoteBlocks(quote)),
      { kind: "lines", title: "It would:", lines: effects },
    ],
    next: `the same with --hash ${hash} does it`,
  };
}

const planMissing = () =>
  new Failure("usage", "plan_missing", "which plan is it to have?", {
    wayOut: "--plan; berth vm resize-options shows what can be",
  });

export const resizeCommands = [
  command("vm resize-options", "What a VM could become, and what that would cost", {
    args: { vm: VM },
    run: async (session, { vm }) => {
      const id = await vmId(session, vm);
      const client = await session.client();
      const { value, raw } = await client.call("listResizeOptions", { path: { id } });
      return {
        json: raw,
        ids: value.options.filter(({ possible }) => possible).map(({ planId }) => planId),
        blocks: [
          {
            kind: "table",
            columns: columnsOf(
              "PLAN!",
              "PRICE!",
              "DIFFERENCE",
              "DUE NOW",
              "MADE",
              "HOW",
              "WHY NOT",
            ),
            rows: value.options.map((option) => [
              option.planName,
              priceOf(option.price),
              option.difference === null ? NOTHING : moneyText(option.difference),
              option.dueNow === null ? NOTHING : moneyText(option.dueNow),
              option.when ?? NOTHING,
              option.method === null ? NOTHING : downFor(option.method, option.downSeconds ?? 0),
              option.refusals.map(({ code }) => code).join(", ") || NOTHING,
            ]),
          },
        ],
        next: `berth vm resize ${vm} --plan PLAN --dry-run tells it to the cent`,
      };
    },
  }),

  command("vm resize", "Give a VM another plan, or its plan another interval", {
    args: { vm: VM },
    options: OPTIONS,
    run: async (session, { vm }, options) =>
      (await session.isStaff())
        ? resizeByStaff(session, vm, options)
        : resizeOwn(session, vm, options),
  }),

  command("vm resize-cancel", "Drop a resize that waits for its payment or for the renewal", {
    args: { vm: VM },
    options: { yes: flag("do not ask") },
    run: async (session, { vm }, { yes }) => {
      const id = await vmId(session, vm);
      await session.confirm(`Drop the resize of ${vm}?`, yes);
      const client = await session.client();
      const { value, raw } = await client.call("cancelResize", { path: { id } });
      return showAction(session, { value: value.action, raw: Object(raw).action }, {}, vm);
    },
  }),
];

import { BillingInterval } from "#core/contracts/api/catalogue.ts";
import { moneyText } from "#core/money-text.ts";
import { OrderView } from "#core/contracts/api/orders.ts";
import { readFile } from "node:fs/promises";
import { Failure } from "../failure.ts";
import { catalogueId, accountId, currencyOf, maybe } from "../names.ts";
import { NOTHING, when } from "../output/format.ts";
import { columnsOf, toned, type Block } from "../output/shown.ts";
import { listed, RANGE } from "../pages.ts";
import type { Answered } from "../api/client.ts";
import type { Session } from "../session.ts";
import { until, WATCH } from "../watch.ts";
import { command, flag, oneOf, optional, required, several } from "./command.ts";

type Order = Answered<"showOrder">["value"];

const blockOf = (order: Order, checkoutUrl: string | null = null): Block => ({
  kind: "fields",
  fields: [
    ["id", order.id],
    ["state", toned(order.state)],
    ["host name", order.hostname],
    ["VM", order.vmId ?? NOTHING],
    [
      "total",
      `${moneyText(order.total)} a ${order.billingInterval}${order.trial ? ", after a trial" : ""}`,
    ],
    ...(order.declined === null ? [] : ([["declined", order.declined]] as const)),
    ["placed", when(order.createdAt)],
    ...(order.paidAt === null
      ? ([["pay until", when(order.expiresAt)]] as const)
      : ([["paid", when(order.paidAt)]] as const)),
    ...(checkoutUrl === null ? [] : ([["pay at", checkoutUrl]] as const)),
  ],
});

async function fileOf(name: string): Promise<string> {
  return readFile(name, "utf8").catch((cause: unknown) => {
    throw new Failure("usage", "file_unreadable", `${name} cannot be read`, { cause });
  });
}

/** Waits until the order has its VM, or never will. */
async function watchOrder(session: Session, id: string, timeout: number | undefined) {
  const client = await session.client();
  const percents: Readonly<Record<string, number>> = { awaiting_payment: 0, paid: 50 };
  const { seen, timedOut } = await until(
    session,
    id,
    timeout,
    () => client.call("showOrder", { path: { id } }),
    ({ value: { state } }) => ({
      percent: percents[state] ?? 100,
      doing: state.replaceAll("_", " "),
      ended: !(state in percents),
    }),
  );
  const { state } = seen.value;
  const failed = timedOut
    ? new Failure("timed_out", "still_running", `the order is ${state.replaceAll("_", " ")}`, {
        wayOut: `berth order watch ${id}`,
      })
    : state === "active" || state === "completed"
      ? undefined
      : new Failure("failed", `order_${state}`, "the order led to no VM", {
          wayOut: "what was paid is given back; berth order create orders again",
        });
  return { order: seen, failed };
}

export const orderCommands = [
  command(
    "order create",
    "Order a VM: prints the page where it is paid, or charges your card on file",
    {
      also: "vm create",
      args: {
        hostname: required("the VM's host name, such as web-1.example.com", { value: "hostname" }),
      },
      options: {
        plan: required("a plan's name or id", { names: "plan", value: "plan" }),
        image: required("an image's name or id, such as debian-13", {
          names: "image",
          value: "image",
        }),
        location: required("a location's name or id", { names: "location", value: "location" }),
        interval: oneOf("how it is paid (month)", BillingInterval.options),
        currency: optional("what it is paid in, such as eur (as the account pays)", {
          value: "currency",
        }),
        sshKey: several("the file of a public key; may be given again", {
          names: "file",
          value: "file",
        }),
        password: flag("root gets a password, shown once by `berth vm password`"),
        userData: optional("a file for cloud-init", { names: "file", value: "file" }),
        trial: flag("begin with the trial that the plan is offered with (`berth plan list`)"),
        payWithCard: flag(
          "charge the card on file (`berth billing show`), without a page to pay on",
        ),
        another: flag("one more, although an order for the same plan and host name is open"),
        idempotencyKey: optional("the same key and request order once; made anew when left out", {
          value: "key",
        }),
        ...WATCH,
      },
      run: async (session, { hostname }, options) => {
        const currency = options.currency === undefined ? undefined : currencyOf(options.currency);
        const [planId, imageId, locationId, sshKeys, userData] = await Promise.all([
          catalogueId(session, "plan", options.plan),
          catalogueId(session, "image", options.image),
          catalogueId(session, "location", options.location),
          Promise.all((options.sshKey ?? []).map(fileOf)),
          maybe(options.userData, fileOf),
        ]);
        const client = await session.client();
        const placed = await client.call("placeOrder", {
          key: options.idempotencyKey,
          body: {
            planId,
            imageId,
            locationId,
            hostname,
            billingInterval: options.interval ?? "month",
            ...(currency === undefined ? {} : { currency }),
            ...(sshKeys.length === 0 ? {} : { sshKeys }),
            ...(options.password ? { password: true } : {}),
            ...(userData === undefined ? {} : { userData }),
            ...(options.payWithCard ? { paymentMethod: "default" as const } : {}),
            ...(options.trial ? { trial: true as const } : {}),
            ...(options.another ? { another: true } : {}),
          },
        });
        const { order, checkoutUrl } = placed.value;
        const shown = {
          json: placed.raw,
          ids: [order.id],
          blocks: [blockOf(order, checkoutUrl)],
          next: `${checkoutUrl === null ? "it is paid" : order.trial ? "begin the trial there" : "pay it there"}; berth order watch ${order.id} waits for the VM`,
        };
        if (!options.watch) return shown;
        // Whoever waits has to know where to pay; stdout is for the answer.
        if (checkoutUrl !== null) session.world.stderr.write(`pay at ${checkoutUrl}\n`);
        const { order: seen, failed } = await watchOrder(session, order.id, options.timeout);
        return {
          ...shown,
          json: { ...Object(placed.raw), order: seen.raw },
          blocks: [blockOf(seen.value)],
          next: undefined,
          failed,
        };
      },
    },
  ),

  command("order show", "One order", {
    args: { order: required("an order's id", { names: "order", value: "order" }) },
    run: async (session, { order }) => {
      const { value, raw } = await (
        await session.client()
      ).call("showOrder", { path: { id: order } });
      return { json: raw, ids: [value.id], blocks: [blockOf(value)] };
    },
  }),

  command("order watch", "Wait until an order is paid and its VM runs", {
    args: { order: required("an order's id", { names: "order", value: "order" }) },
    options: { timeout: WATCH.timeout },
    run: async (session, { order: id }, { timeout }) => {
      const { order, failed } = await watchOrder(session, id, timeout);
      return { json: order.raw, ids: [id], blocks: [blockOf(order.value)], failed };
    },
  }),

  command("order list", "Everybody's orders", {
    staff: true,
    options: {
      ...RANGE,
      account: optional("whose: an account's id or e-mail address", {
        names: "account",
        value: "account",
      }),
      state: oneOf("only those that are so", OrderView.shape.state.options),
      sort: oneOf("by when they were placed", ["createdAt", "-createdAt"]),
    },
    run: async (session, _, { account, state, sort, ...range }) => {
      const owner = await maybe(account, (name) => accountId(session, name));
      const { items, json, next } = await listed(
        session,
        "listOrders",
        { query: { accountId: owner, state, sort } },
        range,
      );
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("ID!", "HOST NAME", "STATE", "TOTAL", "PLACED!", "ACCOUNT?"),
            rows: items.map((order) => [
              order.id,
              order.hostname,
              toned(order.state),
              moneyText(order.total),
              when(order.createdAt),
              order.accountId,
            ]),
          },
        ],
      };
    },
  }),
];

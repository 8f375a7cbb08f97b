import { invalidRequest } from "./api-error.ts";
import { idOrNull, type Sandbox } from "./sandbox.ts";
import type { Kind } from "./store.ts";

/** Kinds that stand only inside others. */
type EmbeddedKind = "subscription_item" | "line_item" | "item";
type AnyKind = Kind | EmbeddedKind;

/**
 * What may be expanded in a kind (https://docs.stripe.com/expand). `to`: an id that becomes its object, or several of them.
 * `included`: a list that is left out unless asked for. `inside`: an object or list that is always there.
 */
type Rule =
  | { to: Kind }
  | {
      included: AnyKind;
      list: (sandbox: Sandbox, id: string) => { data: readonly object[]; url: string };
    }
  | { inside: AnyKind; isList: boolean };

const CUSTOMER = { customer: { to: "customer" } } as const;
const RULES: Partial<Record<AnyKind, Record<string, Rule>>> = {
  customer: {
    "invoice_settings.default_payment_method": { to: "payment_method" },
    subscriptions: {
      included: "subscription",
      list: (sandbox, id) => ({
        data: sandbox.store
          .all("subscription")
          .filter((each) => idOrNull(each.customer) === id && each.status !== "canceled")
          .toReversed(),
        url: `/v1/customers/${id}/subscriptions`,
      }),
    },
  },
  price: { product: { to: "product" } },
  product: { default_price: { to: "price" } },
  checkout_session: {
    ...CUSTOMER,
    subscription: { to: "subscription" },
    invoice: { to: "invoice" },
    payment_intent: { to: "payment_intent" },
    setup_intent: { to: "setup_intent" },
    line_items: {
      included: "item",
      list: (sandbox, id) => ({
        data: sandbox.find("checkout_detail", id).lineItems,
        url: `/v1/checkout/sessions/${id}/line_items`,
      }),
    },
  },
  item: { price: { inside: "price", isList: false } },
  subscription: {
    ...CUSTOMER,
    default_payment_method: { to: "payment_method" },
    discounts: { to: "discount" },
    latest_invoice: { to: "invoice" },
    items: { inside: "subscription_item", isList: true },
  },
  discount: { "source.coupon": { to: "coupon" } },
  promotion_code: { "promotion.coupon": { to: "coupon" } },
  subscription_item: { price: { inside: "price", isList: false } },
  invoice: {
    ...CUSTOMER,
    default_payment_method: { to: "payment_method" },
    "parent.subscription_details.subscription": { to: "subscription" },
    lines: { inside: "line_item", isList: true },
    payments: {
      included: "invoice_payment",
      list: (sandbox, id) => ({
        data: sandbox.store
          .all("invoice_payment")
          .filter((each) => idOrNull(each.invoice) === id)
          .toReversed(),
        url: `/v1/invoice_payments?invoice=${id}`,
      }),
    },
  },
  line_item: {
    subscription: { to: "subscription" },
    "pricing.price_details.price": { to: "price" },
  },
  invoice_payment: {
    invoice: { to: "invoice" },
    "payment.payment_intent": { to: "payment_intent" },
  },
  setup_intent: { ...CUSTOMER, payment_method: { to: "payment_method" } },
  payment_intent: {
    ...CUSTOMER,
    latest_charge: { to: "charge" },
    payment_method: { to: "payment_method" },
  },
  charge: {
    ...CUSTOMER,
    payment_intent: { to: "payment_intent" },
    refunds: {
      included: "refund",
      list: (sandbox, id) => ({
        data: sandbox.store
          .all("refund")
          .filter((each) => idOrNull(each.charge) === id)
          .toReversed(),
        url: `/v1/charges/${id}/refunds`,
      }),
    },
  },
  refund: { charge: { to: "charge" }, payment_intent: { to: "payment_intent" } },
  dispute: { charge: { to: "charge" }, payment_intent: { to: "payment_intent" } },
  payment_method: CUSTOMER,
};
const MAX_LEVELS = 4;

type Wire = Record<string, unknown>;
/** A path as rules to follow, one after the other. */
type Step = { field: string; rule: Rule };
export type Expansion = readonly Step[];

/** Reads `expand[]` against what the call returns; throws before anything is done, as Stripe does. */
export function readExpansions(
  expand: readonly string[],
  returns: Kind,
  isList: boolean,
): Expansion[] {
  return expand.map((path) => {
    const segments = path.split(".");
    if (segments.length > MAX_LEVELS)
      throw invalidRequest(
        `You cannot expand more than ${MAX_LEVELS} levels of a property. Property: ${path}`,
        {
          param: "expand",
        },
      );
    if (!isList) return steps(path, segments, returns);
    if (segments.length < 2 || segments[0] !== "data") throw notExpandable(path);
    return steps(path, segments.slice(1), returns);
  });
}

function steps(path: string, segments: readonly string[], start: AnyKind): Step[] {
  const found: Step[] = [];
  let kind = start;
  let rest = [...segments];
  while (rest.length > 0) {
    const step = stepAt(kind, rest);
    if (step === undefined) throw notExpandable(path);
    found.push(step);
    rest = rest.slice(step.field.split(".").length);
    const { rule } = step;
    kind = "to" in rule ? rule.to : "inside" in rule ? rule.inside : rule.included;
    if (rest.length > 0 && !("to" in rule) && ("included" in rule || rule.isList)) {
      if (rest[0] !== "data" || rest.length === 1) throw notExpandable(path);
      rest = rest.slice(1);
    }
  }
  return found;
}

/** A rule may be keyed by several segments, where plain objects stand in between. */
function stepAt(kind: AnyKind, rest: readonly string[]): Step | undefined {
  const rules = RULES[kind] ?? {};
  for (let length = 1; length <= 3; length += 1) {
    const field = rest.slice(0, length).join(".");
    const rule = Object.hasOwn(rules, field) ? rules[field] : undefined;
    if (rule !== undefined) return { field, rule };
  }
  return undefined;
}

const notExpandable = (path: string) =>
  invalidRequest(`This property cannot be expanded (${path}).`, { param: "expand" });

/** The object as it goes over the wire, with each expansion applied. What is stored stays as it was. */
export function expanded(sandbox: Sandbox, object: object, expansions: readonly Expansion[]): Wire {
  let wire = asWire(object);
  for (const steps of expansions) wire = follow(sandbox, wire, steps);
  return wire;
}

function follow(sandbox: Sandbox, wire: Wire, [step, ...rest]: Expansion): Wire {
  if (step === undefined) return wire;
  return replaceAt(wire, step.field.split("."), (value) => {
    const { rule } = step;
    if ("to" in rule) {
      if (value === null || value === undefined) return value;
      const expandOne = (one: unknown): unknown => {
        const target =
          typeof one === "string"
            ? (sandbox.store.get(rule.to, one) ?? deletedCustomer(sandbox, one))
            : one;
        return target === undefined ? one : follow(sandbox, asWire(target), rest);
      };
      return Array.isArray(value) ? value.map(expandOne) : expandOne(value);
    }
    if ("included" in rule && (value === undefined || value === null)) {
      const { data, url } = rule.list(sandbox, String(wire["id"]));
      return {
        object: "list",
        data: data.map((each) => follow(sandbox, asWire(each), rest)),
        has_more: false,
        url,
      };
    }
    const inner = asWire(value);
    const data = inner["data"];
    if (!Array.isArray(data)) return follow(sandbox, inner, rest);
    return { ...inner, data: data.map((each) => follow(sandbox, asWire(each), rest)) };
  });
}

/** A customer that was deleted still stands where it was referenced, as `{id, deleted: true}`. */
const deletedCustomer = (sandbox: Sandbox, id: string): object | undefined =>
  sandbox.store.get("deleted_customer", id);

function replaceAt(
  wire: Wire,
  [field, ...rest]: readonly string[],
  change: (value: unknown) => unknown,
): Wire {
  if (field === undefined) return wire;
  const value = wire[field];
  if (rest.length === 0) return { ...wire, [field]: change(value) };
  if (typeof value !== "object" || value === null) return wire;
  return { ...wire, [field]: replaceAt(asWire(value), rest, change) };
}

function asWire(object: unknown): Wire {
  if (typeof object !== "object" || object === null) throw new Error("not an object to expand");
  return Object.fromEntries(Object.entries(object));
}

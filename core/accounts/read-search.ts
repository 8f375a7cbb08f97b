import { ID_PREFIX, isIdKind, type IdKind } from "#core/ids.ts";
import type { Scope } from "./accounts.ts";

/** What a search can find, and the scope of who may see it. */
export const SCOPE_OF_FOUND = {
  account: "accounts:read",
  vm: "vms:read",
  order: "orders:read",
  invoice: "billing:read",
  host: "staff:read",
} as const satisfies Partial<Record<IdKind, Scope>>;
export type FoundKind = keyof typeof SCOPE_OF_FOUND;
export const FOUND_KINDS = [
  "account",
  "vm",
  "order",
  "invoice",
  "host",
] as const satisfies readonly FoundKind[];

/** By what something was found. */
export const MATCHES = [
  "id",
  "stripe_id",
  "address",
  "hostname",
  "label",
  "email",
  "name",
  "number",
] as const;
export type Match = (typeof MATCHES)[number];

/** What is looked for. */
export type Sought =
  /** Of this kind; null: of whatever kind has it. */
  | Readonly<{ by: "id"; of: FoundKind | null; id: string }>
  | Readonly<{ by: "address"; address: string }>
  | Readonly<{ by: "stripe"; id: string }>
  /** What a name, an address for mail or an invoice's number begins with; in lower case. */
  | Readonly<{ by: "beginning"; text: string }>;

const WIRE = /^([a-z]+)_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
/** Checkout sessions, subscriptions, invoices and customers: what we keep of Stripe's. */
const STRIPE = /^(?:cs|sub|in|cus)_[A-Za-z0-9_]+$/;

const isFound = (kind: string): kind is FoundKind => kind in SCOPE_OF_FOUND;
const kindOf = (prefix: string): IdKind | undefined =>
  Object.keys(ID_PREFIX)
    .filter(isIdKind)
    .find((kind) => ID_PREFIX[kind] === prefix);

/**
 * What somebody who typed this may look for. An id of ours is nothing else; what looks like one of Stripe's or an address may be
 * a name's beginning too. An id of a kind that is not searched finds nothing.
 */
export function readSearch(typed: string): readonly Sought[] {
  const text = typed.trim();
  const lower = text.toLowerCase();
  const [, prefix, ...parts] = WIRE.exec(lower) ?? [];
  const kind = prefix === undefined ? undefined : kindOf(prefix);
  if (kind !== undefined) return isFound(kind) ? [{ by: "id", of: kind, id: parts.join("-") }] : [];
  if (UUID.test(lower)) return [{ by: "id", of: null, id: lower }];
  return [
    ...(IPV4.test(text) ? [{ by: "address", address: text } as const] : []),
    ...(STRIPE.test(text) ? [{ by: "stripe", id: text } as const] : []),
    { by: "beginning", text: lower },
  ];
}

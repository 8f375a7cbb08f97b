import { z } from "@hono/zod-openapi";

/** What each id looks like on the wire: a prefix and the UUID's 32 hex digits (`vm_0199…`). */
export const ID_PREFIX = {
  account: "acct",
  agent_release: "rel",
  agent_rollout: "roll",
  action: "act",
  destroy_request: "dreq",
  drain: "drain",
  finding: "fnd",
  host: "host",
  image: "img",
  invoice: "inv",
  location: "loc",
  mail: "mail",
  move: "move",
  order: "ord",
  plan: "plan",
  plan_migration: "pmig",
  quote: "quote",
  vm: "vm",
} as const;
export type IdKind = keyof typeof ID_PREFIX;
export const isIdKind = (kind: string): kind is IdKind => kind in ID_PREFIX;

export const toWireId = (kind: IdKind, uuid: string): string =>
  `${ID_PREFIX[kind]}_${uuid.replaceAll("-", "")}`;

const toUuid = (wire: string): string =>
  wire.slice(wire.indexOf("_") + 1).replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

/** As `audit_log` names who did something: an account and a host by the bare UUID, others by their own names. */
export const toActorId = (wire: string): string =>
  /^(?:acct|host)_[0-9a-f]{32}$/.test(wire) ? toUuid(wire) : wire;

const pattern = (kind: IdKind) => new RegExp(`^${ID_PREFIX[kind]}_[0-9a-f]{32}$`);
const example = (kind: IdKind) => `${ID_PREFIX[kind]}_0199f0a2b3c47d5e8f90a1b2c3d4e5f6`;

/** A wire id in a request: checked, and turned into the bare UUID. */
export const idIn = (kind: IdKind) =>
  z
    .string()
    .regex(pattern(kind))
    .openapi({ example: example(kind) })
    .transform(toUuid);

/** A wire id of any kind in a request, as the bare UUID. */
export const anyIdIn = z
  .string()
  .regex(/^[a-z]{2,8}_[0-9a-f]{32}$/)
  .openapi({ example: example("vm") })
  .transform(toUuid);

/** A wire id in an answer. */
export const idOut = (kind: IdKind) =>
  z
    .string()
    .regex(pattern(kind))
    .openapi({ example: example(kind) });

import { z } from "@hono/zod-openapi";

/** What each id looks like on the wire: a prefix and the UUID's 32 hex digits (`vm_0199…`). */
export const ID_PREFIX = {
  account: "acct",
  agent_release: "rel",
  agent_rollout: "roll",
  action: "act",
  finding: "fnd",
  host: "host",
  image: "img",
  invoice: "inv",
  location: "loc",
  order: "ord",
  plan: "plan",
  vm: "vm",
} as const;
export type IdKind = keyof typeof ID_PREFIX;

export const toWireId = (kind: IdKind, uuid: string): string =>
  `${ID_PREFIX[kind]}_${uuid.replaceAll("-", "")}`;

const toUuid = (wire: string): string =>
  wire.slice(wire.indexOf("_") + 1).replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

const pattern = (kind: IdKind) => new RegExp(`^${ID_PREFIX[kind]}_[0-9a-f]{32}$`);
const example = (kind: IdKind) => `${ID_PREFIX[kind]}_0199f0a2b3c47d5e8f90a1b2c3d4e5f6`;

/** A wire id in a request: checked, and turned into the bare UUID. */
export const idIn = (kind: IdKind) =>
  z
    .string()
    .regex(pattern(kind))
    .openapi({ example: example(kind) })
    .transform(toUuid);

/** A wire id in an answer. */
export const idOut = (kind: IdKind) =>
  z
    .string()
    .regex(pattern(kind))
    .openapi({ example: example(kind) });

import { DRAINS } from "./drains.ts";
import { DUNNINGS } from "./dunnings.ts";
import { TRIALS } from "./trials.ts";
import { HOSTS } from "./hosts.ts";
import { LOSSES } from "./losses.ts";
import { MESSAGES } from "./messages.ts";
import { MOVES } from "./moves.ts";
import { ORDERS } from "./orders.ts";
import { PLAN_MIGRATIONS } from "./plan-migrations.ts";
import { RESIZES } from "./resizes.ts";
import { USAGE } from "./usage.ts";
import type { Mutant } from "./plant.ts";

/** Defects that somebody could write on a bad day. The simulator must find each of them. */
export const MUTANTS: readonly Mutant[] = [
  ...MESSAGES,
  ...ORDERS,
  ...USAGE,
  ...HOSTS,
  ...LOSSES,
  ...RESIZES,
  ...MOVES,
  ...DRAINS,
  ...PLAN_MIGRATIONS,
  ...DUNNINGS,
  ...TRIALS,
];

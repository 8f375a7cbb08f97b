import { eq, sql } from "drizzle-orm";
import { hosts } from "#db/schema/hosts.ts";

/*
 * Which hosts count for what, by their state. Nobody else looks at `hosts.state` to choose hosts (`test/unit/hosts-by-state.test.ts`): a
 * new state is decided on here, for all of them.
 */

/** What is sold may be put on it, and what is on it may grow: as `takesNew` has it, and the index `hosts_room_idx`. */
export const takesNewVms = eq(hosts.state, "active");

/** It holds VMs and an agent speaks for it, or should: as `hosts_heard_idx` and `hosts_agent_version_idx` have it. */
export const isInUse = sql`${hosts.state} not in ('enrolling', 'retired')`;

/** It is no host any more. */
export const isRetired = eq(hosts.state, "retired");

import { sql } from "drizzle-orm";
import {
  check,
  index,
  integer,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { ROLLOUT_OUTCOMES, ROLLOUT_STATES } from "#core/fleet/rollout.ts";
import { instant } from "./columns.ts";
import { agentReleases, hosts } from "./hosts.ts";

export const rolloutState = pgEnum("rollout_state", ROLLOUT_STATES);
export const rolloutOutcome = pgEnum("rollout_outcome", ROLLOUT_OUTCOMES);

/** A version of the agent on its way to many hosts (`core/fleet/rollout.ts`). */
export const agentRollouts = pgTable(
  "agent_rollouts",
  {
    id: uuid("id").primaryKey(),
    releaseId: uuid("release_id")
      .notNull()
      .references(() => agentReleases.id),
    /** The group whose hosts it was begun for; null: for hosts by name. */
    hostGroup: text("host_group"),
    state: rolloutState("state").notNull().default("running"),
    atATime: integer("at_a_time").notNull(),
    stopAfterFailed: integer("stop_after_failed").notNull(),
    /** Of the hosts for which it failed, those from before it was resumed: they stop it no more. */
    failedBefore: integer("failed_before").notNull().default(0),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    index("agent_rollouts_open_idx")
      .on(t.id)
      .where(sql`${t.state} in ('running', 'paused')`),
    check("agent_rollouts_have_a_pace", sql`${t.atATime} > 0 and ${t.stopAfterFailed} > 0`),
  ],
);

/** The hosts that a rollout was begun for, and how it ended for each. */
export const agentRolloutHosts = pgTable(
  "agent_rollout_hosts",
  {
    rolloutId: uuid("rollout_id")
      .notNull()
      .references(() => agentRollouts.id),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    toldAt: instant("told_at"),
    outcome: rolloutOutcome("outcome"),
    endedAt: instant("ended_at"),
  },
  (t) => [
    primaryKey({ name: "agent_rollout_hosts_pkey", columns: [t.rolloutId, t.hostId] }),
    // Of two rollouts at once a host would be told now one version and now the other.
    uniqueIndex("agent_rollout_hosts_one_open_key")
      .on(t.hostId)
      .where(sql`${t.endedAt} is null`),
    check(
      "agent_rollout_hosts_ended_somehow",
      sql`(${t.outcome} is null) = (${t.endedAt} is null)`,
    ),
  ],
);

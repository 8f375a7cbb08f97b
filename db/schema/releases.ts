import { pgTable, text, uniqueIndex, uuid } from "drizzle-orm/pg-core";
import { instant } from "./columns.ts";

/** Releases of the agent that staff have registered; whoever made one signed its manifest. */
export const agentReleases = pgTable(
  "agent_releases",
  {
    id: uuid("id").primaryKey(),
    /** As `HostFacts.agentVersion` has it. */
    version: text("version").notNull(),
    manifestUrl: text("manifest_url").notNull(),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [uniqueIndex("agent_releases_version_key").on(t.version)],
);

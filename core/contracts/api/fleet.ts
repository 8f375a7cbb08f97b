import { z } from "@hono/zod-openapi";
import { WantedRelease } from "#core/contracts/agent/channel.ts";
import { idIn, idOut } from "#core/ids.ts";
import { ROLLOUT_STATES } from "#core/fleet/rollout.ts";
import { Instant } from "#core/contracts/values.ts";
import { pageOf } from "./page.ts";

/** Hosts that staff treat alike. */
export const HostGroup = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/);

const { version } = WantedRelease.shape;

/**
 * Of what `WantedRelease` takes, what the document can say of it: a host by its name or its IPv4 address, a path, and no more.
 * A name's last part begins with a letter, or it would be read as a number (WHATWG URL).
 */
const OCTET = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const PART = "[a-z0-9]+(-[a-z0-9]+)*";
const HOST = `((${PART}\\.)*[a-z][a-z0-9]*(-[a-z0-9]+)*|${OCTET}(\\.${OCTET}){3})`;
const manifestUrl = z
  .string()
  .max(2_000)
  .regex(new RegExp(`^https?://${HOST}(:[1-5]?\\d{1,4})?(/[A-Za-z0-9._~%/+-]*)?$`));

export const RegisterRelease = z
  .strictObject({
    version: version.openapi({ description: "As the agents of it say it." }),
    manifestUrl: manifestUrl.openapi({
      description: "Where its manifest lies, signed by this installation's release key.",
    }),
  })
  .openapi("RegisterAgentRelease");

export const ReleaseView = z
  .object({ id: idOut("agent_release"), version, manifestUrl, createdAt: Instant })
  .openapi("AgentRelease");
export const ReleasePage = pageOf("AgentReleasePage", ReleaseView);

/** More at once than anybody can look after. */
const pace = z.int().min(1).max(1_000);
const MOST_NAMED = 1_000;

export const BeginRollout = z
  .strictObject({
    version,
    hosts: z
      .union([
        z.strictObject({ group: HostGroup }).openapi("HostsOfGroup", {
          description: "Those that are in it now.",
        }),
        z
          .strictObject({ ids: z.array(idIn("host")).min(1).max(MOST_NAMED) })
          .openapi("HostsByName"),
      ])
      .openapi("RolloutTarget"),
    atATime: pace
      .default(1)
      .openapi({ description: "So many hosts are upgrading at once, at the most." }),
    stopAfterFailed: pace
      .default(1)
      .openapi({ description: "When so many could not, it pauses by itself." }),
  })
  .openapi("BeginAgentRollout");

export const ChangeRollout = z
  .strictObject({
    state: z.enum(["running", "paused", "cancelled"]).openapi("AskedRolloutState").optional(),
    atATime: pace.optional(),
    stopAfterFailed: pace.optional(),
  })
  .openapi("ChangeAgentRollout", { description: "What is left out stays as it is." });

export const RolloutView = z
  .object({
    id: idOut("agent_rollout"),
    version,
    group: z.string().nullable(),
    state: z.enum(ROLLOUT_STATES).openapi("AgentRolloutState"),
    atATime: z.int(),
    stopAfterFailed: z.int(),
    hosts: z
      .object({
        waiting: z.int(),
        told: z.int(),
        upgraded: z.int(),
        failed: z.int(),
        leftOut: z.int(),
        withdrawn: z.int(),
      })
      .openapi("AgentRolloutHosts", {
        description: "How many wait, were told, and how it ended for the others.",
      }),
    createdAt: Instant,
  })
  .openapi("AgentRollout");
export type RolloutView = z.infer<typeof RolloutView>;
export const RolloutPage = pageOf("AgentRolloutPage", RolloutView);

import { forgetAgentTokens } from "#db/hosts/spent-agent-tokens.ts";
import type { Deps } from "#commands/deps.ts";

/** Forgets the tokens of agents that were used once and are too old to be used again. */
export async function forgetSpentAgentTokens(
  deps: Pick<Deps, "db" | "clock">,
): Promise<{ forgotten: number }> {
  return { forgotten: await forgetAgentTokens(deps.db, deps.clock.now()) };
}

import { flag, optional } from "./commands/command.ts";
import type { Block } from "./output/shown.ts";
import type { Session } from "./session.ts";

/* What staff force is looked at first: a dry run says what it comes to, and the call that does it bears the look's hash. */

/** What every such command takes. */
export const FORCED = {
  dryRun: flag("say what it would do, and do nothing"),
  hash: optional("of a dry run: do just that, without asking", { value: "hash" }),
  yes: flag("do not ask"),
} as const;
type Forced = Readonly<{
  dryRun?: boolean | undefined;
  hash?: string | undefined;
  yes?: boolean | undefined;
}>;
type More = Readonly<{ dryRun: true } | { hash: string }>;

/**
 * Looks, shows what it comes to, asks, and does it by the look's hash; so nothing is done that has changed since. `done` is
 * false of a look alone, and where there is nothing to do. `blocks`: what is shown, if more than the effects.
 */
export async function byHash<A>(
  session: Session,
  { dryRun, hash, yes }: Forced,
  question: string,
  call: (more: More) => Promise<A>,
  planOf: (
    looked: A,
  ) => Readonly<{ effects: readonly string[]; hash: string; blocks?: readonly Block[] }>,
): Promise<Readonly<{ answer: A; done: boolean }>> {
  if (hash !== undefined && !dryRun) return { answer: await call({ hash }), done: true };
  const looked = await call({ dryRun: true });
  if (dryRun) return { answer: looked, done: false };
  const plan = planOf(looked);
  if (plan.effects.length === 0) return { answer: looked, done: false };
  const { blocks = [{ kind: "lines", title: "It would:", lines: plan.effects }] } = plan;
  if (!yes) await session.explain(blocks);
  await session.confirm(question, yes);
  return { answer: await call({ hash: plan.hash }), done: true };
}

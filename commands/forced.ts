import { createHash } from "node:crypto";
import { canonicalJson } from "#core/contracts/canonical-json.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Deps } from "./deps.ts";
import type { Tx } from "#db/client.ts";
import { inTransaction } from "#db/transaction.ts";

/** What a force operation comes to. `hash` names it: the call that does it carries it. */
export type ForcedPlan = Readonly<{ effects: readonly string[]; hash: string }>;

/** A dry run changes nothing; the true call carries the hash of one. */
export type Asked = Readonly<{ dryRun: boolean; hash?: string | undefined }>;

/** Of what somebody was shown: what differs in anything has another. */
export const hashOf = (shown: unknown): string =>
  createHash("sha256").update(canonicalJson(shown)).digest("hex");

const CHANGED = "it is not what a dry run showed: look at one, and send its hash";
/** Whether it would still do what was shown. */
export const refuseOther = (
  planned: Pick<ForcedPlan, "hash">,
  hash: string | undefined,
): Result<null, Refusal<"plan_changed">> =>
  hash === planned.hash ? ok(null) : refuse("plan_changed", CHANGED);

/** `of` names all that it stands on: another state of that is another hash. */
export type Planned<T, R> = Readonly<{
  of: Readonly<Record<string, unknown>>;
  effects: readonly string[];
  act: () => Promise<Result<T, R>>;
}>;

/**
 * Plans under the locks that the act will need, and acts in the same transaction: what is done is what was shown. Answers with
 * the plan alone for a dry run; `done` is null then.
 */
export async function force<T, R extends Refusal<string>>(
  deps: Pick<Deps, "db">,
  asked: Asked,
  plan: (tx: Tx) => Promise<Result<Planned<T, R>, R>>,
): Promise<Result<ForcedPlan & { done: T | null }, R | Refusal<"plan_changed">>> {
  return inTransaction(
    deps.db,
    async (tx): Promise<Result<ForcedPlan & { done: T | null }, R | Refusal<"plan_changed">>> => {
      const planned = await plan(tx);
      if (!planned.ok) return planned;
      const { of, effects, act } = planned.value;
      const shown = { effects, hash: hashOf({ ...of, effects }) };
      if (asked.dryRun) return ok({ ...shown, done: null });
      const same = refuseOther(shown, asked.hash);
      if (!same.ok) return same;
      const done = await act();
      return done.ok ? ok({ ...shown, done: done.value }) : done;
    },
  );
}

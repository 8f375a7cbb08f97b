import type { EventName } from "#core/contracts/events.ts";
import { emits } from "./emits.ts";
import { sampled } from "./extent.ts";
import { changesBetween, snapshot } from "./dump.ts";
import type { ControlPlane } from "./control-plane.ts";

/** A command and the state it starts from. */
export type Scenario<S> = Readonly<{
  /** A fresh state, which no other run shares. */
  arrange: () => Promise<S>;
  act: (state: S) => Promise<unknown>;
  /** Exactly what `act` writes to the outbox, in order, when nothing disturbs it (`emits.ts`). */
  emits?: readonly EventName[];
  /** How whoever called tries again; `act` unless given. */
  again?: (state: S) => Promise<unknown>;
  /** What runs by itself afterwards; queues, webhooks and outbox unless given. */
  settle?: (state: S) => Promise<unknown>;
  /** Rows in which the runs may differ, as `table {json}`. */
  ignore?: RegExp;
}>;

export type EachStep = Readonly<{
  /** What the command did when nothing disturbed it. */
  undisturbed: readonly string[];
  /** The points at which it was made to fail. */
  points: readonly string[];
  /** The points after which the second try did not end where the undisturbed run did, with what it came to instead. */
  different: readonly { at: string; got: readonly string[] }[];
}>;

/**
 * Runs a command undisturbed; twice; and once for each of its steps with a failure there and a second try. Every run
 * has a state of its own, and all must end the same. In the short form it fails at the first step, at the last, and at
 * some that are drawn (`extent.ts`).
 */
export async function runEachStep<S>(cp: ControlPlane, scenario: Scenario<S>): Promise<EachStep> {
  const { act, again = act, settle = cp.pump } = scenario;
  let last = await snapshot(cp);
  const ending = async (run: (state: S) => Promise<void>): Promise<readonly string[]> => {
    const startedAt = cp.clock.now();
    const before = last;
    const state = await scenario.arrange();
    await run(state);
    await settle(state);
    last = await snapshot(cp);
    return changesBetween(before, last, startedAt, scenario.ignore);
  };
  let points: readonly string[] = [];
  const undisturbed = await ending(async (state) => {
    const watched = () => cp.steps.watch(() => act(state));
    points = scenario.emits ? await emits(cp, scenario.emits, watched) : await watched();
  });
  if (points.length === 0) throw new Error("the command took no step at which it could fail");
  const different: { at: string; got: readonly string[] }[] = [];
  const compare = async (at: string, run: (state: S) => Promise<void>) => {
    const got = await ending(run);
    if (JSON.stringify(got) !== JSON.stringify(undisturbed)) different.push({ at, got });
  };
  await compare("run twice", async (state) => {
    await act(state);
    await again(state);
  });
  for (const { n, at } of triedOf(points))
    await compare(at, async (state) => {
      await cp.steps.watch(() => act(state), n);
      await again(state);
    });
  return { undisturbed, points, different };
}

/** Between the first and the last point, so many are tried in the short form. */
const MOST_BETWEEN = 2;

/** The points at which it is to fail. */
function triedOf(points: readonly string[]): readonly { n: number; at: string }[] {
  const [first, ...rest] = points.map((at, n) => ({ n, at }));
  const last = rest.pop();
  const between = sampled(points.join(), rest, MOST_BETWEEN);
  return [first, ...between, last].filter((point) => point !== undefined);
}

/** The endings that differ, as a reader wants them: only the lines that are not the same. */
export const differencesOf = ({ undisturbed, different }: EachStep): readonly object[] =>
  different.map(({ at, got }) => ({
    at,
    missing: undisturbed.filter((line) => !got.includes(line)),
    unexpected: got.filter((line) => !undisturbed.includes(line)),
  }));

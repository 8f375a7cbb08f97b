import { differencesOf, priceText, type SoldAs } from "./sold.ts";

/** A plan as a catalogue file wants it. `metadata` is the provider's alone. */
export type WantedPlan = SoldAs &
  Readonly<{ name: string; metadata: Readonly<Record<string, string>> }>;

/** A plan of ours, by its newest version. */
export type OwnPlan = SoldAs &
  Readonly<{ id: string; name: string; version: number; available: boolean }>;

/** What is to be done here so that what is sold is what the file says. */
export type PlanChange = Readonly<{ plan: string; words: string }> &
  (
    | Readonly<{ kind: "add_plan" | "add_version"; wanted: WantedPlan }>
    | Readonly<{ kind: "sell_plan" | "retire_plan" }>
  ) &
  /** null: it is still to be added. */
  Readonly<{ planId: string | null }>;

/** What of ours the file does not name, and that goes on being sold. */
export type PlanChanges = Readonly<{ changes: readonly PlanChange[]; left: readonly string[] }>;

/** Plans are told apart by their names. One that the file does not name is left as it is, unless it is to be retired. */
export function decidePlans(
  wanted: readonly WantedPlan[],
  own: readonly OwnPlan[],
  { retire }: Readonly<{ retire: boolean }>,
): PlanChanges {
  const byName = new Map(own.map((plan) => [plan.name, plan]));
  const named = new Set(wanted.map(({ name }) => name));
  const unnamed = own.filter(({ name, available }) => available && !named.has(name));
  return {
    changes: [
      ...wanted.flatMap((plan) => changesOf(plan, byName.get(plan.name))),
      ...(retire ? unnamed.map(retirementOf) : []),
    ],
    left: retire ? [] : unnamed.map(({ name }) => name),
  };
}

function changesOf(wanted: WantedPlan, own: OwnPlan | undefined): readonly PlanChange[] {
  const { name: plan } = wanted;
  if (own === undefined) {
    const words = `plan ${plan}: put on sale, at ${wanted.prices.map(priceText).join("; ")}`;
    return [{ kind: "add_plan", plan, planId: null, wanted, words }];
  }
  const differs = differencesOf(own, wanted);
  const of = { plan, planId: own.id };
  const version = own.version + 1;
  return [
    ...(differs.length === 0
      ? []
      : [
          {
            ...of,
            kind: "add_version" as const,
            wanted,
            words: `plan ${plan}: sold as version ${version} from now on: ${differs.join("; ")}`,
          },
        ]),
    ...(own.available
      ? []
      : [{ ...of, kind: "sell_plan" as const, words: `plan ${plan}: on sale again` }]),
  ];
}

const retirementOf = ({ id, name }: OwnPlan): PlanChange => ({
  kind: "retire_plan",
  plan: name,
  planId: id,
  words: `plan ${name}: not sold any more; who has it keeps it`,
});

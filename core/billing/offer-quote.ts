import type { Money } from "#core/money.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { Course } from "./decide-quote.ts";
import type { ChangedLine, ChangePreview } from "./price-changes.ts";
import { compareWithPreview, netOf, type Proration } from "./proration.ts";
import type { Quote, QuotedLine } from "./quote.ts";

/** What of a quote is money. */
export type QuotedMoney = Pick<Quote, "dueNow" | "credit" | "tax" | "lines" | "differsBy">;

/** Nothing is asked of the provider. */
export const NO_MONEY: QuotedMoney = {
  dueNow: null,
  credit: null,
  tax: null,
  lines: [],
  differsBy: null,
};

/**
 * The money of a change. Of what is charged and credited now the provider's figures hold, as far as they are ours: a line that is
 * further off than a minor unit is a defect of theirs or ours, and nobody is offered it.
 *
 * `preview` null: nothing of the present period is charged or credited.
 */
export function moneyOf(
  { how, from, own }: Pick<Course, "how" | "from" | "own">,
  preview: ChangePreview | null,
): Result<QuotedMoney, Refusal<"figures_differ">> {
  if (how === null || from.price === null) return ok(NO_MONEY);
  const { currency } = from.price.amount;
  const money = (minor: bigint): Money => ({ minor, currency });
  if (own === null) {
    const none = money(0n);
    return ok({ dueNow: none, credit: none, tax: none, lines: [], differsBy: none });
  }
  if (preview === null) return refuse("figures_differ", "the provider shows no figures for it");
  const compared = compareWithPreview(own, preview);
  if (!compared.ok) return compared;
  const { lines, differsBy } = compared.value;
  const total = preview.total.minor;
  return ok({
    dueNow: preview.dueNow,
    credit: money(total < 0n ? -total : 0n),
    tax: preview.tax,
    lines: lines.map((line) => quoted(line, own)),
    differsBy: money(differsBy),
  });
}

/** The provider may leave out which line a credit is of: ours of the same time says it. */
const quoted = (line: ChangedLine, own: Proration): QuotedLine => ({
  kind: line.kind,
  amount: { minor: netOf(line), currency: line.amount.currency },
  from: line.from,
  until: line.until,
  credits: line.credits ?? creditedBy(line, own),
});

function creditedBy(line: ChangedLine, own: Proration): string | null {
  const alike = own.lines.filter(
    ({ kind, until }) => kind === "credit" && line.kind === "credit" && +until === +line.until,
  );
  return alike.length === 1 ? (alike[0]?.credits ?? null) : null;
}

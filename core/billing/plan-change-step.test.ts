import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AT, minutesAfter } from "#test/builders.ts";
import { aPlanChange, aSeenChange } from "#test/plan-change-builders.ts";
import {
  CHANGE_MACHINE_MOVES,
  MACHINE_IS_BACK,
  MACHINE_IS_THERE,
} from "#core/vms/change-machine.ts";
import { CHANGE_MONEY_MOVES, MONEY_IS_BACK, MONEY_IS_THERE } from "./change-money.ts";
import {
  onAnswer,
  onApply,
  onAsk,
  onBegin,
  onEnd,
  onGivenBack,
  onMachineBack,
  onSee,
  onTurnBack,
} from "./plan-change-moves.ts";
import {
  isAsking,
  isRest,
  nextChangeStep,
  type AskingStep,
  type OwnStep,
} from "./plan-change-step.ts";
import { mayBeDropped, paidByPage, type PlanChange } from "./plan-change.ts";
import type { PriceChangeState } from "./price-changes.ts";

/* 6a 2: the two states of a change, and their planner. */

describe.each([
  ["money", CHANGE_MONEY_MOVES, "not_asked", MONEY_IS_THERE, MONEY_IS_BACK],
  ["machine", CHANGE_MACHINE_MOVES, "waiting", MACHINE_IS_THERE, MACHINE_IS_BACK],
] as const)("the %s of a change", (_, moves, first, there, back) => {
  const reached = (from: string): ReadonlySet<string> => {
    const found = new Set([from]);
    for (const at of found)
      for (const [move, to] of movesFrom(at)) if (move !== "keep") found.add(to);
    return found;
  };
  const movesFrom = (at: string): readonly (readonly [string, string])[] =>
    Object.entries(new Map<string, object>(Object.entries(moves)).get(at) ?? {});
  test("reaches every state, but for those of a change without it", () => {
    const without = first === "waiting" ? "none" : "exempt";
    expect(reached(first)).toEqual(new Set(Object.keys(moves).filter((at) => at !== without)));
    expect(reached(without)).toEqual(new Set([without]));
  });
  test("can be back from wherever it is, and is not there again from then on, unless it can't be taken back", () => {
    for (const at of Object.keys(moves)) {
      const after = reached(at);
      expect(Array.from(back).some((end) => after.has(end))).toBe(true);
      const isBack = Array.from(back).some((end) => end === at);
      const isThere = Array.from(there).some((end) => end === at);
      const comesThere = Array.from(there).some((end) => after.has(end));
      expect(isBack && !isThere && comesThere).toBe(false);
    }
  });
});

describe("up", () => {
  test("is paid, then told to its host, then seen, then committed", () => {
    const begun = aPlanChange();
    expect(nextChangeStep(begun, aSeenChange(), AT)).toEqual({ kind: "prepare" });
    const asking = { ...begun, ...onAsk(begun, PRICES, AT) };
    expect(nextChangeStep(asking, aSeenChange(), AT)).toEqual({ kind: "ask" });
    const waiting = { ...asking, ...onAnswer(asking, WAITING, AT) };
    expect(nextChangeStep(waiting, aSeenChange(), AT)).toEqual({ kind: "look" });
    const paid = { ...waiting, ...onAnswer(waiting, APPLIED, minutesAfter(7)) };
    expect(nextChangeStep(paid, aSeenChange(), minutesAfter(7))).toEqual({ kind: "apply" });
    const told = { ...paid, ...onApply(paid, 4, minutesAfter(8)) };
    expect(nextChangeStep(told, aSeenChange(), minutesAfter(8))).toEqual({
      kind: "wait",
      until: minutesAfter(67),
    });
    const isSeen = aSeenChange({ isSizeSeen: true });
    expect(nextChangeStep(told, isSeen, minutesAfter(9))).toEqual({ kind: "see" });
    const seen = { ...told, ...onSee(told, minutesAfter(9)) };
    expect(nextChangeStep(seen, isSeen, minutesAfter(9))).toEqual({ kind: "end", as: "committed" });
  });

  test("waits for its payment for an hour and for its size for another, and then goes back", () => {
    const waiting = aPlanChange({ money: "waiting" });
    expect(nextChangeStep(waiting, aSeenChange(), minutesAfter(59))).toEqual({ kind: "look" });
    expect(nextChangeStep(waiting, aSeenChange(), minutesAfter(60))).toEqual({
      kind: "turn_back",
      why: "not_paid",
    });
    const told = aPlanChange({ money: "applied", machine: "applying", seeBy: minutesAfter(60) });
    expect(nextChangeStep(told, aSeenChange(), minutesAfter(60))).toEqual({
      kind: "turn_back",
      why: "not_seen",
    });
    // However late somebody looks, what is seen counts.
    const late = nextChangeStep(told, aSeenChange({ isSizeSeen: true }), minutesAfter(600));
    expect(late).toEqual({ kind: "see" });
  });
});

describe("down at renewal", () => {
  const atRenewal = {
    when: "renewal",
    billing: "none",
    order: "machine_first",
    reservedAt: null,
    payBy: null,
    appliesAt: minutesAfter(600),
  } as const;
  test("begins three hours before, is seen, and is priced for the next period", () => {
    const change = aPlanChange(atRenewal);
    expect(nextChangeStep(change, aSeenChange(), AT)).toEqual({
      kind: "wait",
      until: minutesAfter(420),
    });
    expect(nextChangeStep(change, aSeenChange(), minutesAfter(420))).toEqual({ kind: "begin" });
    const begun = { ...change, ...onBegin(change.order, minutesAfter(420)) };
    expect(nextChangeStep(begun, aSeenChange(), minutesAfter(420))).toEqual({ kind: "apply" });
    const seen = { ...begun, machine: "seen", seenAt: minutesAfter(425) } as const;
    expect(nextChangeStep(seen, aSeenChange(), minutesAfter(425))).toEqual({ kind: "prepare" });
  });
  test("goes back once the renewal was billed at the old price", () => {
    const seen = aPlanChange({ ...atRenewal, reservedAt: AT, machine: "seen", seenAt: AT });
    expect(nextChangeStep(seen, aSeenChange(), minutesAfter(600))).toEqual({
      kind: "turn_back",
      why: "renewal_passed",
    });
    const priced: PlanChange = { ...seen, money: "applied" };
    expect(nextChangeStep(priced, aSeenChange(), minutesAfter(601))).toEqual({
      kind: "end",
      as: "committed",
    });
  });
});

test.each([
  ["vm_deleted", { isVmToGo: true }],
  ["order_refunded", { isOrderRefunded: true }],
  ["vm_lost", { isVmLost: true }],
  ["billing_frozen", { isBillingFrozen: true }],
  ["subscription_ended", { subscription: "ended" }],
] as const)("whatever a change is at, it goes back: %s", (why, seen) => {
  for (const money of ["not_asked", "waiting", "applied"] as const)
    for (const machine of ["waiting", "applying", "seen"] as const)
      expect(
        nextChangeStep(aPlanChange({ money, machine }), aSeenChange(seen), minutesAfter(1)),
      ).toEqual({ kind: "turn_back", why });
});

test("what is owed turns back a change whose price does not hold yet, and no other", () => {
  const owes = aSeenChange({ subscription: "owes" });
  expect(nextChangeStep(aPlanChange(), owes, AT)).toEqual({
    kind: "turn_back",
    why: "invoice_open",
  });
  expect(nextChangeStep(aPlanChange({ money: "applied" }), owes, AT)).toEqual({ kind: "apply" });
});

test("another action that runs is waited for before the host is told", () => {
  const paid = aPlanChange({ money: "applied", seeBy: minutesAfter(60) });
  const busy = aSeenChange({ isVmBusy: true });
  expect(nextChangeStep(paid, busy, AT)).toEqual({ kind: "wait", until: minutesAfter(60) });
});

test("a disk that has grown stays when all else goes back", () => {
  const back = aPlanChange({ money: "undoing", machine: "reverting", turnedBack: "not_seen" });
  const grown = aSeenChange({ hasDiskGrown: true });
  expect(nextChangeStep(back, grown, AT)).toEqual({ kind: "keep_disk" });
  expect(nextChangeStep(back, aSeenChange(), AT)).toEqual({ kind: "undo" });
});

test("may be dropped as long as nothing of it is paid and its host was not told", () => {
  expect(mayBeDropped(aPlanChange())).toBe(true);
  expect(mayBeDropped(aPlanChange({ money: "waiting", machine: "none" }))).toBe(true);
  expect(mayBeDropped(aPlanChange({ money: "applied" }))).toBe(false);
  expect(mayBeDropped(aPlanChange({ machine: "applying" }))).toBe(false);
  expect(mayBeDropped(aPlanChange({ turnedBack: "vm_lost" }))).toBe(false);
});

const PRICES = { fromPriceId: "price_old", toPriceId: "price_new" };
const WAITING: PriceChangeState = {
  kind: "waiting",
  invoiceId: "in_7",
  checkoutId: null,
  payUrl: "http://pay/7",
  until: minutesAfter(60 * 23),
  why: "action_required",
};
const PAID: PriceChangeState = {
  kind: "paid",
  payment: { id: "pi_7", amount: { minor: 400n, currency: "usd" } },
};
const APPLIED: PriceChangeState = { kind: "applied", invoice: null, payment: null };

/* What happens around a change, in any order. */
const HAPPENINGS = [
  "minute",
  "hour",
  "day",
  "pays",
  "declines",
  "host_obeys",
  "host_refuses",
  "vm_goes",
  "vm_lost",
  "vm_found",
  "frozen",
  "ends",
  "owes",
  "busy",
  "idle",
  "drops",
  "period_ends",
  "provider_away",
  "provider_back",
] as const;
type Happening = (typeof HAPPENINGS)[number];

/** A world in which a change is followed: a provider with a price, a host with a size, and who pays. */
class World {
  now = AT;
  /** `paid`: on its page, and nothing was made of that yet. */
  price: "old" | "waiting" | "paid" | "new" = "old";
  willPay = false;
  isTooLate = false;
  away = false;
  seen = aSeenChange();
  desired: "from" | "to" = "from";
  has: "from" | "to" = "from";
  change: PlanChange;
  constructor(change: PlanChange) {
    this.change = change;
  }
  get isByPage(): boolean {
    return paidByPage(this.change) !== null;
  }

  happens(what: Happening): void {
    const see = (over: Partial<typeof this.seen>) => (this.seen = { ...this.seen, ...over });
    const later = (minutes: number) => (this.now = minutesAfter(minutes, this.now));
    const does: Record<Happening, () => unknown> = {
      minute: () => later(1),
      hour: () => later(60),
      day: () => later(1440),
      pays: () => {
        this.willPay = true;
        if (this.price === "waiting") this.price = this.isByPage ? "paid" : "new";
      },
      declines: () => (this.willPay = false),
      host_obeys: () => (this.has = this.desired),
      host_refuses: () => see({ isRefused: true }),
      vm_goes: () => see({ isVmToGo: true }),
      vm_lost: () => see({ isVmLost: true }),
      vm_found: () => see({ isVmLost: false }),
      frozen: () => see({ isBillingFrozen: true }),
      ends: () => see({ subscription: "ended" }),
      owes: () => see({ subscription: "owes" }),
      busy: () => see({ isVmBusy: true }),
      idle: () => see({ isVmBusy: false }),
      drops: () => {
        const isOpen = this.change.outcome === null;
        if (isOpen && mayBeDropped(this.change)) this.turnBack("cancelled");
      },
      period_ends: () => (this.isTooLate = true),
      provider_away: () => (this.away = true),
      provider_back: () => (this.away = false),
    };
    does[what]();
  }

  /** As `follow-plan-change.ts` does it. */
  follow(): void {
    let asked: string | undefined;
    for (let steps = 0; steps < 40; steps++) {
      const isSizeSeen = this.change.generation !== null && this.has === this.desired;
      const step = nextChangeStep(this.change, { ...this.seen, isSizeSeen }, this.now);
      if (isRest(step) || step.kind === asked) return;
      if (!isAsking(step)) {
        this.take(step);
        continue;
      }
      if (this.away) return;
      asked = step.kind;
      this.ask(step);
    }
    throw new Error("it takes steps without end");
  }

  private becomes(changed: Partial<PlanChange>): void {
    this.change = { ...this.change, ...changed };
  }

  private ask({ kind }: AskingStep): void {
    const { change, now } = this;
    if (kind === "prepare") return this.becomes(onAsk(change, PRICES, now));
    if (kind === "undo") {
      if (this.price === "new" && change.to.price?.interval !== "month")
        throw new Error("a new cycle is not taken back");
      this.price = "old";
      return this.becomes(onGivenBack(change));
    }
    const isPaid = this.willPay || change.order === "machine_first";
    if (kind === "ask" && this.price === "old")
      this.price = isPaid && !this.isByPage ? "new" : "waiting";
    else if (kind !== "drop" && this.price === "paid" && !this.isTooLate) this.price = "new";
    if (kind === "drop" && this.price === "waiting") this.price = "old";
    this.becomes(onAnswer(change, this.answer(), now) ?? {});
  }

  private take(step: OwnStep): void {
    const { change, now } = this;
    switch (step.kind) {
      case "begin":
        return this.becomes(onBegin(change.order, now));
      case "apply":
        this.desired = "to";
        return this.becomes(onApply(change, 2, now));
      case "see":
        return this.becomes(onSee(change, now));
      case "keep_disk":
        throw new Error("no disk of this world grows alone");
      case "see_old":
      case "let_go":
        return this.becomes(onMachineBack(change, step.kind, now));
      case "turn_back":
        return this.turnBack(step.why);
      case "end":
        return this.becomes(onEnd(step.as, now));
    }
  }

  private turnBack(why: NonNullable<PlanChange["turnedBack"]>): void {
    const isGone = this.seen.isVmToGo || this.seen.isVmLost;
    this.change = { ...this.change, ...onTurnBack(this.change, { why, isGone }, this.now) };
    this.desired = "from";
  }

  private answer(): PriceChangeState {
    const answers: Record<typeof this.price, PriceChangeState> = {
      old: { kind: "not_there" },
      waiting: WAITING,
      paid: PAID,
      new: APPLIED,
    };
    return answers[this.price];
  }
}

const MONEY_ENDS = new Set<string>([...MONEY_IS_THERE, ...MONEY_IS_BACK]);
const MACHINE_ENDS = new Set<string>([...MACHINE_IS_THERE, ...MACHINE_IS_BACK]);
const aYear = aPlanChange({ machine: "none", method: "none" });
const YEARLY = { interval: "year", amount: { minor: 5000n, currency: "usd" } } as const;
const STARTS: readonly PlanChange[] = [
  aPlanChange(),
  {
    ...aYear,
    to: { ...aYear.to, price: YEARLY },
  },
  aPlanChange({ machine: "none" }),
  aPlanChange({ paysBy: "other" }),
  { ...aYear, paysBy: "other", to: { ...aYear.to, price: YEARLY } },
  aPlanChange({ order: "machine_first", payBy: null, seeBy: minutesAfter(60) }),
  aPlanChange({ money: "exempt", order: "machine_first", payBy: null, seeBy: minutesAfter(60) }),
  aPlanChange({
    order: "machine_first",
    when: "renewal",
    billing: "none",
    payBy: null,
    reservedAt: null,
    appliesAt: minutesAfter(600),
  }),
];

test("whatever happens, in whatever order, a change ends, and money and machine agree", () => {
  const outcomes = new Set<string>();
  fc.assert(
    fc.property(
      fc.constantFrom(...STARTS),
      fc.array(fc.constantFrom(...HAPPENINGS), { maxLength: 30 }),
      (start, happenings) => {
        const world = new World(start);
        for (const what of happenings) {
          world.happens(what);
          world.follow();
        }
        // Faults stop, hosts answer, and the clock moves on.
        for (let days = 0; days < 4 && world.change.outcome === null; days++)
          for (const what of [
            "provider_back",
            "idle",
            "host_obeys",
            "day",
            "host_obeys",
          ] as const) {
            world.happens(what);
            world.follow();
          }
        const { outcome, money, machine, turnedBack } = world.change;
        outcomes.add(`${outcome}`);
        const asks = start.money !== "exempt";
        const isMade = start.machine !== "none";
        const ends = { outcome, money, machine, price: world.price, turnedBack };
        expect(ends).toEqual(
          outcome === "committed"
            ? {
                outcome,
                money: asks ? "applied" : "exempt",
                machine: isMade ? "seen" : "none",
                price: asks ? "new" : "old",
                turnedBack: null,
              }
            : { ...ends, outcome: "reverted", price: "old" },
        );
        expect(MONEY_ENDS.has(money) && MACHINE_ENDS.has(machine)).toBe(true);
        const has = outcome === "committed" && isMade ? "to" : "from";
        expect(world.desired).toBe(has);
        expect(machine === "gone" || world.has === has).toBe(true);
      },
    ),
  );
  expect(outcomes).toEqual(new Set(["committed", "reverted"]));
});

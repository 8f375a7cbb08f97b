import { nextTaken, type LimitName } from "#core/accounts/attempts.ts";
import { isFromElsewhere } from "#core/accounts/new-log-in.ts";
import { callerOf, networkOf } from "#core/network/caller-network.ts";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { isKnownNetwork, noteNetwork, takeAttempt } from "#db/accounts/attempts.ts";
import { insertDueMails } from "#db/messages/mails.ts";
import { inTransaction } from "#db/transaction.ts";
import { stamp, type Deps } from "#commands/deps.ts";

type Slowed = Result<void, Refusal<"rate_limited">>;
type SlowDownDeps = Pick<Deps, "db" | "clock">;

/** Full buckets that one process remembers; of more, the oldest are looked up again. */
const MOST_REMEMBERED = 10_000;

/**
 * Slows down whoever tries too often, over all processes (ADR 0027). A bucket that was found full is remembered until it takes
 * the next attempt: what comes in the meantime costs nothing but a look into this process' memory. Where the caller's address
 * is not known (nothing stands before the API that saw it), nothing is counted by address.
 */
export function createSlowDown(deps: SlowDownDeps) {
  const full = new Map<string, Date>();
  const keyOf = (limit: LimitName, of: string) => `${limit} ${of}`;

  /** Refuses where the bucket is known to be full; takes nothing from it. */
  const look = (limit: LimitName, of: string): Slowed => {
    const until = full.get(keyOf(limit, of));
    if (until === undefined) return ok(undefined);
    const now = deps.clock.now();
    if (until > now) return slowed(until, now);
    full.delete(keyOf(limit, of));
    return ok(undefined);
  };
  const take = async (limit: LimitName, of: string): Promise<Slowed> => {
    const known = look(limit, of);
    if (!known.ok) return known;
    const now = deps.clock.now();
    const runsOutAt = await takeAttempt(deps.db, limit, of, now);
    if (runsOutAt === undefined) return ok(undefined);
    const until = nextTaken(limit, runsOutAt);
    const [oldest] = full.keys();
    if (oldest !== undefined && full.size >= MOST_REMEMBERED) full.delete(oldest);
    full.set(keyOf(limit, of), until);
    return slowed(until, now);
  };

  return {
    /** Counts an attempt of whatever this is. */
    take,
    /** Counts an attempt of the caller with this address. */
    takeOfCaller: async (limit: LimitName, address: string | undefined): Promise<Slowed> => {
      const caller = callerOf(address ?? "");
      return caller === undefined ? ok(undefined) : take(limit, caller);
    },
    /** As `takeOfCaller`, for what only counts once it has turned out to be wrong: nothing is taken. */
    lookOfCaller: (limit: LimitName, address: string | undefined): Slowed => {
      const caller = callerOf(address ?? "");
      return caller === undefined ? ok(undefined) : look(limit, caller);
    },
    /**
     * Counts a password that is tried for the account with this e-mail address. From where it was logged in before, that is
     * counted by the network: whoever guesses from elsewhere slows down nobody there.
     */
    takeLogIn: async (typed: string, address: string | undefined): Promise<Slowed> => {
      const network = networkOf(address ?? "");
      if (network === undefined) return ok(undefined);
      const email = typed.trim().toLowerCase();
      return (await isKnownNetwork(deps.db, email, network))
        ? take("account_known_here", `${email} ${network}`)
        : take("account_elsewhere", email);
    },
  };
}

/**
 * Remembers where the account with this e-mail address was logged in from. Where it was logged in before, and never from there, its
 * owner is mailed: the mail falls due with what is remembered.
 */
export async function rememberNetwork(
  deps: Pick<Deps, "db" | "clock" | "ids">,
  typed: string,
  from: Readonly<{ callerAddress: string | undefined; agent: string | undefined }>,
): Promise<void> {
  const { callerAddress: address = "", agent } = from;
  const network = networkOf(address);
  if (network === undefined) return;
  const { now, newId } = stamp(deps);
  await inTransaction(deps.db, async (tx) => {
    const before = await noteNetwork(tx, typed.trim().toLowerCase(), network, now);
    if (before === undefined || !isFromElsewhere(before)) return;
    const id = newId();
    const values = {
      at: now.toISOString(),
      address,
      agent: agent?.slice(0, LONGEST_AGENT) ?? null,
    };
    const { accountId } = before;
    const due = { id, kind: "new_log_in" as const, cause: id, about: accountId, accountId, values };
    await insertDueMails(tx, [due], now);
  });
}
const LONGEST_AGENT = 300;

/** The refusal of an attempt whose bucket is full, by when that runs out. */
export const tooOften = (limit: LimitName, runsOutAt: Date, now: Date): Slowed =>
  slowed(nextTaken(limit, runsOutAt), now);

const slowed = (until: Date, now: Date): Slowed =>
  refuse(
    "rate_limited",
    "that was tried too often; wait, and try again",
    Math.max(1, Math.ceil((+until - +now) / 1000)),
  );

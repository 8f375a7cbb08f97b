import { DrizzleQueryError } from "drizzle-orm";
import { type LogIns, MIN_PASSWORD_LENGTH } from "#core/accounts/accounts.ts";
import { guarded } from "#core/accounts/without-values.ts";
import type { Clock } from "#core/ports.ts";
import { ok, refuse } from "#core/result.ts";
import { type Auth, type AuthOptions, createAuth } from "./log-ins-auth.ts";
import { createPasswordHashes, type Hashing, type PasswordHashes } from "./password-hashes.ts";
import {
  codeProof,
  confirmationIn,
  isServed,
  notServed,
  proofFor,
  withProblem,
} from "./log-ins-http.ts";

const MIN_SECRET_LENGTH = 32;

/**
 * Sign-up, log-in and sessions on better-auth, which lives by the machine's clock. A refused request of `handle` is
 * answered with a problem document whose `instance` is the request's `x-request-id`. A throw is an outage or a bug,
 * never a wrong password. `hashing`: better-auth's own unless given.
 */
export function createLogIns(
  options: AuthOptions & Readonly<{ clock: Pick<Clock, "now">; hashing?: Hashing | undefined }>,
): LogIns {
  if (options.secret.length < MIN_SECRET_LENGTH)
    throw new RangeError(`the secret of log-ins needs ${MIN_SECRET_LENGTH} characters or more`);
  const hashes = createPasswordHashes(options.hashing);
  const auth = createAuth(options, hashes);
  const requestIdOf = (request: Request): string =>
    request.headers.get("x-request-id") ?? options.ids.newId();
  const handle = async (request: Request): Promise<Response> => {
    const requestId = requestIdOf(request);
    if (!isServed(request)) return notServed(requestId);
    const proof = await proofFor(request);
    const refused = proof && (await refusalOf(auth, proof));
    return withProblem(refused ?? (await auth.handler(request)), requestId);
  };
  return {
    handle: (request) => guarded(() => handle(request)),
    confirm: (request) =>
      guarded(async () => {
        const refused = await refusalOfConfirmation(auth, request);
        return refused && withProblem(refused, requestIdOf(request));
      }),
    setPassword: (accountId, password) =>
      guarded(() => setPassword({ auth, hashes, clock: options.clock }, accountId, password)),
    createAccount: (input) =>
      guarded(() => createAccount({ auth, hashes, clock: options.clock }, input)),
  };
}

/** The refusal of a code; undefined where it is good, and is spent. */
async function refusalOf(auth: Auth, proof: Request): Promise<Response | undefined> {
  const session = await auth.api.getSession({ headers: proof.headers });
  // Without a second factor, better-auth would take the code for the end of its set-up.
  if (session?.user.twoFactorEnabled !== true)
    return Response.json(
      { code: "TWO_FACTOR_NOT_ENABLED", message: "There is no second factor." },
      { status: session === null ? 401 : 400 },
    );
  const answer = await auth.handler(proof);
  return answer.ok ? undefined : answer;
}

/** The code first, as everywhere: it is used up even where the password beside it is wrong (ADR 0021). */
async function refusalOfConfirmation(auth: Auth, request: Request): Promise<Response | undefined> {
  const { password = "", code } = await confirmationIn(request);
  const session = await auth.api.getSession({ headers: request.headers });
  if (session?.user.twoFactorEnabled === true) {
    if (code === undefined) return Response.json(CODE_MISSING, { status: 400 });
    const refused = await refusalOf(auth, codeProof(request, code));
    if (refused !== undefined) return refused;
  }
  const { headers } = request;
  const answer = await auth.api.verifyPassword({ body: { password }, headers, asResponse: true });
  return answer.ok ? undefined : answer;
}
const CODE_MISSING = {
  code: "CODE_MISSING",
  message: "Your account has a second factor: send a code of it, too.",
};

/** What passwords are set by, without a request of better-auth's. */
type Setting = Readonly<{ auth: Auth; hashes: PasswordHashes; clock: Pick<Clock, "now"> }>;

async function createAccount(
  { auth, hashes, clock }: Setting,
  input: Parameters<LogIns["createAccount"]>[0],
): ReturnType<LogIns["createAccount"]> {
  if (input.password.length < MIN_PASSWORD_LENGTH)
    throw new RangeError(`a password has ${MIN_PASSWORD_LENGTH} characters or more`);
  const { adapter } = await auth.$context;
  const hash = await hashes.hashInTurn(input.password);
  const at = { createdAt: clock.now(), updatedAt: clock.now() };
  const email = input.email.trim().toLowerCase();
  const { name, role } = input;
  const staffRole = role === "staff" ? (input.staffRole ?? "owner") : null;
  try {
    return await adapter.transaction(async (tx) => {
      const { id } = await tx.create<Record<string, unknown>, { id: string }>({
        model: "user",
        data: { email, name, role, staffRole, emailVerified: true, ...at },
      });
      await tx.create({ model: "account", data: credentialOf(id, hash, at.createdAt) });
      return ok({ accountId: id });
    });
  } catch (error) {
    if (isEmailTaken(error)) return refuse("email_taken", "There is an account with this address.");
    throw error;
  }
}

const credentialOf = (accountId: string, password: string, at: Date) => ({
  userId: accountId,
  accountId,
  providerId: "credential",
  password,
  createdAt: at,
  updatedAt: at,
});

/** In one transaction: no session of before outlives the password. */
async function setPassword(
  { auth, hashes, clock }: Setting,
  accountId: string,
  password: string,
): Promise<void> {
  const { adapter } = await auth.$context;
  const hash = await hashes.hashInTurn(password);
  await adapter.transaction(async (tx) => {
    const ofAccount = { field: "userId", value: accountId };
    const at = clock.now();
    const changed = await tx.updateMany({
      model: "account",
      where: [ofAccount, { field: "providerId", value: "credential" }],
      update: { password: hash, updatedAt: at },
    });
    // Whom staff added has had none.
    if (changed === 0)
      await tx.create({ model: "account", data: credentialOf(accountId, hash, at) });
    await tx.deleteMany({ model: "session", where: [ofAccount] });
  });
}

/** Postgres' unique_violation (SQLSTATE 23505) on the address. */
function isEmailTaken(error: unknown): boolean {
  const cause = error instanceof DrizzleQueryError ? error.cause : undefined;
  return (
    cause !== undefined && "constraint" in cause && cause.constraint === "accounts_email_unique"
  );
}

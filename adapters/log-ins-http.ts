import * as z from "zod";
import {
  PROBLEM_TYPE,
  problemDocument,
  type ProblemCode,
  type STATUS_BY_CODE,
} from "#core/contracts/problem.ts";
import { AUTH_PATH } from "./log-ins-auth.ts";

/**
 * The routes of better-auth that are served. Its others (social log-in, its own mail) answer 404, and so does
 * whatever a later version adds, until it stands here.
 */
const ROUTES: ReadonlySet<string> = new Set([
  "POST /sign-up/email",
  "POST /sign-in/email",
  "POST /sign-out",
  "GET /get-session",
  "GET /list-sessions",
  "POST /revoke-session",
  "POST /revoke-sessions",
  "POST /revoke-other-sessions",
  "POST /change-password",
  "POST /two-factor/enable",
  "POST /two-factor/disable",
  "POST /two-factor/verify-totp",
  "POST /two-factor/generate-backup-codes",
  "POST /two-factor/verify-backup-code",
]);

export function isServed(request: Request): boolean {
  const { pathname } = new URL(request.url);
  return (
    pathname.startsWith(`${AUTH_PATH}/`) &&
    ROUTES.has(`${request.method} ${pathname.slice(AUTH_PATH.length)}`)
  );
}

/** A code of the API with the status that the API gives it. */
type Meaning = {
  [C in ProblemCode]: Readonly<{ code: C; status: (typeof STATUS_BY_CODE)[C] }>;
}[ProblemCode];

const INTERNAL: Meaning = { code: "internal", status: 500 };
const NOT_FOUND: Meaning = { code: "not_found", status: 404 };
const EMAIL_TAKEN: Meaning = { code: "email_taken", status: 409 };
const BY_REASON: Readonly<Record<string, Meaning>> = {
  USER_ALREADY_EXISTS: EMAIL_TAKEN,
  USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL: EMAIL_TAKEN,
  // The insert failed after all checks: most likely another sign-up for the address was faster. Try again.
  FAILED_TO_CREATE_USER: { code: "busy", status: 503 },
  TOO_MANY_LOG_INS: { code: "busy", status: 503 },
};
const BY_STATUS: Readonly<Record<number, Meaning>> = {
  400: { code: "invalid_request", status: 400 },
  401: { code: "unauthenticated", status: 401 },
  403: { code: "forbidden", status: 403 },
  404: NOT_FOUND,
  415: { code: "unsupported_media_type", status: 415 },
  422: { code: "invalid_request", status: 400 },
  429: { code: "rate_limited", status: 429 },
};

const Refusal = z.object({ code: z.string().optional(), message: z.string().optional() });

/**
 * A refusal of better-auth (`{code, message}`) as the problem document that the rest of the API answers. `reason` is
 * better-auth's own code, finer than ours: `password_too_short`, `invalid_origin`.
 */
export async function withProblem(response: Response, requestId: string): Promise<Response> {
  if (response.status < 400) return response;
  const refusal = Refusal.safeParse(parseJson(await response.text())).data;
  const meaning = BY_REASON[refusal?.code ?? ""] ?? BY_STATUS[response.status] ?? INTERNAL;
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  const retryAfter = headers.get("x-retry-after");
  if (retryAfter !== null) headers.set("retry-after", retryAfter);
  const detail = refusal?.message ?? "The request was refused.";
  return problem(meaning, detail, requestId, { headers, reason: refusal?.code?.toLowerCase() });
}

/** The routes that take a second factor's protection away: the code itself must be shown. */
const BY_CODE: ReadonlySet<string> = new Set([
  "/two-factor/disable",
  "/two-factor/generate-backup-codes",
]);

/** The request by which a code is proved before `request` is served; undefined where none is asked for. */
export async function proofFor(request: Request): Promise<Request | undefined> {
  const url = new URL(request.url);
  if (!BY_CODE.has(url.pathname.slice(AUTH_PATH.length))) return undefined;
  const { code = "" } = await confirmationIn(request);
  return codeProof(request, code);
}

/** The request by which better-auth proves a code, of the app or a backup code, for the session of `request`. */
export function codeProof(request: Request, code: string): Request {
  const kind = /^\d{6}$/.test(code) ? "totp" : "backup-code";
  const headers = new Headers(request.headers);
  headers.delete("content-length");
  const target = `${new URL(request.url).origin}${AUTH_PATH}/two-factor/verify-${kind}`;
  return new Request(target, { method: "POST", headers, body: JSON.stringify({ code }) });
}

/** What a body confirms a wish by. */
export const confirmationIn = async (request: Request): Promise<z.infer<typeof Confirmation>> =>
  Confirmation.safeParse(parseJson(await request.clone().text())).data ?? {};
const Confirmation = z.object({ password: z.string().optional(), code: z.string().optional() });

export const notServed = (requestId: string): Response =>
  problem(NOT_FOUND, "There is no such route.", requestId, { headers: new Headers() });

function problem(
  { code, status }: Meaning,
  detail: string,
  instance: string,
  more: { headers: Headers; reason?: string | undefined },
): Response {
  more.headers.set("content-type", PROBLEM_TYPE);
  const body = { ...problemDocument(code, detail, instance), reason: more.reason };
  return new Response(JSON.stringify(body), { status, headers: more.headers });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

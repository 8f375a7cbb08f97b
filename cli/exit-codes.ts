/** How `berth` ends, by kind: what a script branches on. docs/cli.md says what each means; they never change. */
export const EXIT = {
  ok: 0,
  /** What was asked for was begun, and failed. */
  failed: 1,
  /** The command line itself, or what it needs and was not given. */
  usage: 2,
  /** Not logged in, or not allowed. */
  access: 3,
  missing: 4,
  /** The API refused: asked again unchanged, it will again. */
  refused: 5,
  /** Nobody answered, or not as Berth does: it may be tried again. */
  unreachable: 6,
  /** It goes on, and was not waited for any longer. */
  timed_out: 7,
} as const;
export type ExitKind = keyof typeof EXIT;
export type FailureKind = Exclude<ExitKind, "ok">;

/** Refusals whose status says less than their code: what may be tried again in a while is no refusal for good. */
const KIND_BY_CODE: Readonly<Record<string, FailureKind>> = {
  rate_limited: "unreachable",
  request_timeout: "unreachable",
  invalid_request: "usage",
};

/** The kind of a refusal of the API's, by its status and its stable code. */
export function kindOfRefusal(status: number, code: string): FailureKind {
  const byCode = KIND_BY_CODE[code];
  if (byCode !== undefined) return byCode;
  if (status >= 500) return "unreachable";
  if (status === 401 || status === 403) return "access";
  if (status === 404 || status === 410) return "missing";
  return "refused";
}

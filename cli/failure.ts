import type { FailureKind } from "./exit-codes.ts";

type More = Readonly<{
  /** What to do next. */
  wayOut?: string | undefined;
  /** The id of the request, to be quoted to support. */
  request?: string | undefined;
  /** Each field that was not accepted. */
  fields?: readonly Readonly<{ path: string; message: string }>[] | undefined;
  cause?: unknown;
}>;

/** Why a command did not do what it was asked for: a stable code for programs, words and a way out for people. */
export class Failure extends Error {
  override name = "Failure";
  readonly kind: FailureKind;
  readonly code: string;
  readonly more: More;
  constructor(kind: FailureKind, code: string, detail: string, more: More = {}) {
    super(detail, { cause: more.cause });
    this.kind = kind;
    this.code = code;
    this.more = more;
  }
}

/** A refusal is an answer that the caller must handle; a bug or an outage is thrown (style §3). */
export type Result<T, E> = { ok: true; value: T } | { ok: false; error: E };
/** `retryAfterSeconds`: when it is worth asking again, where that is known. */
export type Refusal<C extends string> = { code: C; detail: string; retryAfterSeconds?: number };

export const ok = <T>(value: T): Result<T, never> => ({ ok: true, value });
export const refuse = <C extends string>(
  code: C,
  detail: string,
  retryAfterSeconds?: number,
): Result<never, Refusal<C>> => ({
  ok: false,
  error: { code, detail, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) },
});
export function assertNever(x: never): never {
  throw new Error(`unreachable: ${JSON.stringify(x)}`);
}

import { gunzipSync } from "node:zlib";
import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import type { PlaceOrder } from "#core/contracts/api/orders.ts";
import { isWholeText } from "#core/vms/seed-text.ts";

/** In bytes of UTF-8, as the guest gets them. The desired document of a host holds those of all its VMs. */
const MOST_BYTES = 16 * 1024;
/** RFC 4648 §4, without line ends. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** The first two bytes of a gzip member (RFC 1952 §2.3.1), and how they begin in base64. */
const GZIP = Buffer.from([0x1f, 0x8b]);
const GZIP_IN_BASE64 = /^H4sI[A-Za-z0-9+/]*={0,2}\s*$/;

type UserDataRefusal = Refusal<"user_data_too_large" | "user_data_invalid">;
const invalid = (detail: string) => refuse("user_data_invalid", detail);

/**
 * User-data as text, whatever it came as: the guest gets it unpacked, so that every hypervisor and every agent can give it.
 * Unpacking stops at the limit: a small gzip may hold very much.
 */
export function readUserData({
  userData,
  userDataEncoding,
}: Pick<PlaceOrder, "userData" | "userDataEncoding">): Result<string | null, UserDataRefusal> {
  if (userData === undefined)
    return userDataEncoding === undefined
      ? ok(null)
      : invalid("there is an encoding of user-data, and no user-data");
  const isBase64 = userDataEncoding === "base64";
  if (!isBase64 && GZIP_IN_BASE64.test(userData))
    return invalid('this is gzip in base64: say so with userDataEncoding: "base64"');
  if (isBase64 && !BASE64.test(userData.replaceAll(/\s/g, ""))) return invalid("not base64");
  const given = Buffer.from(userData, isBase64 ? "base64" : "utf8");
  const bytes = isBase64 && given.subarray(0, 2).equals(GZIP) ? unpacked(given) : given;
  if (bytes === "too_large" || (bytes !== "damaged" && bytes.length > MOST_BYTES))
    return refuse("user_data_too_large", `user-data has at most ${MOST_BYTES} bytes, unpacked`);
  if (bytes === "damaged") return invalid("its gzip is damaged");
  if (!isBase64) return ok(userData);
  const text = asText(bytes);
  return text === undefined ? invalid("it holds what is no UTF-8 text, or NUL") : ok(text);
}

function unpacked(gzip: Buffer): Buffer | "too_large" | "damaged" {
  try {
    return gunzipSync(gzip, { maxOutputLength: MOST_BYTES });
  } catch (error) {
    const isTooLarge =
      error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    return isTooLarge ? "too_large" : "damaged";
  }
}

function asText(bytes: Buffer): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return isWholeText(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

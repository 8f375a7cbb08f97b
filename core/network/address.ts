import { ok, refuse, type Refusal, type Result } from "#core/result.ts";

/** An address that a VM gave back rests this long, so that nobody inherits a stranger's traffic. */
export const IP_QUARANTINE_MS = 24 * 60 * 60_000;

const OCTETS = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/** An IPv4 address as a number. Throws on anything else: what comes from outside is checked before. */
export function ipv4ToNumber(address: string): number {
  const m = OCTETS.exec(address);
  const parts = m?.slice(1).map(Number);
  if (!parts || parts.some((p) => p > 255)) throw new Error(`not an IPv4 address: ${address}`);
  return parts.reduce((n, p) => n * 256 + p, 0);
}
export const numberToIpv4 = (n: number): string =>
  [24, 16, 8, 0].map((s) => Math.floor(n / 2 ** s) % 256).join(".");

/**
 * The addresses of a pool that VMs may have: all of the block but its network, broadcast and gateway. A block is
 * /16 to /30, named by its first address, and the gateway lies in it.
 */
export function assignableAddresses(pool: {
  cidr: string;
  gateway: string;
}): Result<readonly string[], Refusal<"pool_invalid">> {
  const [base = "", bits] = pool.cidr.split("/");
  const prefix = Number(bits);
  if (!Number.isInteger(prefix) || prefix < 16 || prefix > 30)
    return refuse("pool_invalid", `a pool is an IPv4 block of /16 to /30, not ${pool.cidr}`);
  const size = 2 ** (32 - prefix);
  const first = Math.floor(ipv4ToNumber(base) / size) * size;
  if (numberToIpv4(first) !== base)
    return refuse("pool_invalid", `the block of ${pool.cidr} begins at ${numberToIpv4(first)}`);
  const gateway = ipv4ToNumber(pool.gateway) - first;
  if (gateway < 1 || gateway > size - 2)
    return refuse("pool_invalid", `the gateway ${pool.gateway} is not in ${pool.cidr}`);
  return ok(
    Array.from({ length: size - 2 }, (_, i) => numberToIpv4(first + 1 + i)).filter(
      (a) => a !== pool.gateway,
    ),
  );
}

/**
 * The MAC of the NIC that holds this address. Derived, so that it is unique wherever the address is; `02` marks
 * it as locally administered (IEEE 802), `be` as ours.
 */
export function macForIpv4(address: string): string {
  const n = ipv4ToNumber(address);
  const octets = [24, 16, 8, 0].map((s) => Math.floor(n / 2 ** s) % 256);
  return ["02", "be", ...octets.map((o) => o.toString(16).padStart(2, "0"))].join(":");
}

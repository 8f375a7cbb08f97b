/**
 * The network that a caller's address is counted by, as a CIDR block; undefined when it is no address. IPv4 by /24: a
 * server is rented with a handful of neighbouring addresses, and a mobile operator puts its subscribers behind such a block.
 * IPv6 by /56: what one subscriber is given at home (RIPE-690, 4.2), within which anybody has as many addresses as he likes.
 */
export const networkOf = (address: string): string | undefined =>
  blockOf(address, ([a, b, c]) => `${a}.${b}.${c}.0/24`);

/**
 * The one caller that an address stands for, by whom attempts are counted; undefined when it is no address. IPv4 by itself:
 * its neighbours are other people. IPv6 by /56, as above.
 */
export const callerOf = (address: string): string | undefined =>
  blockOf(address, ([a, b, c, d]) => `${a}.${b}.${c}.${d}/32`);

type Octets = readonly [number, number, number, number];

function blockOf(address: string, ofIpv4: (octets: Octets) => string): string | undefined {
  const groups = groupsOf(address.includes(":") ? address : `::ffff:${address}`);
  if (groups === undefined) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, high = 0, low = 0] = groups;
  // An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2): a server that listens on both sees every caller so.
  if (a + b + c + d + e === 0 && f === 0xffff)
    return ofIpv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
  return `${[a, b, c, d & 0xff00].map((group) => group.toString(16)).join(":")}::/56`;
}

/** The eight groups of an IPv6 address; undefined when it is none. `URL` knows all ways to write one (RFC 4291, 2.2). */
function groupsOf(address: string): readonly number[] | undefined {
  if (!/^[\da-f:.]+$/i.test(address)) return undefined;
  const { hostname } = URL.parse(`http://[${address}]/`) ?? {};
  if (hostname === undefined) return undefined;
  const [head = "", tail] = hostname.slice(1, -1).split("::");
  const read = (part: string) =>
    part.split(":").flatMap((g) => (g === "" ? [] : [parseInt(g, 16)]));
  const [first, last] = [read(head), read(tail ?? "")];
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last];
}

/* OpenSSH public keys (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4, OpenSSH's PROTOCOL.u2f), read and not trusted. */

const LEAST_RSA_BITS = 2048;
/** OpenSSH's own most (`OPENSSL_RSA_MAX_MODULUS_BITS`). */
const MOST_RSA_BITS = 16_384;

/** Takes one length-prefixed string after the other; undefined once there is none, or less than was promised. */
type Fields = { next: () => Uint8Array | undefined; isAtEnd: () => boolean };

/** What is wrong with the key's inside, after its kind; undefined: nothing. */
type Check = (fields: Fields) => string | undefined;

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes && String.fromCharCode(...bytes.slice(0, 64));

const ed25519: Check = (fields) =>
  fields.next()?.length === 32 ? undefined : "an Ed25519 key has 32 bytes";

/** An uncompressed point (SEC 1 §2.3.3) has 1 + 2 × the size of the field, in bytes. */
const ecdsa =
  (curve: string, pointBytes: number): Check =>
  (fields) => {
    if (text(fields.next()) !== curve) return "its curve is another than its kind says";
    const point = fields.next();
    return point?.length === pointBytes && point[0] === 4
      ? undefined
      : `it holds no point of ${curve}`;
  };

const rsa: Check = (fields) => {
  const exponent = fields.next();
  const modulus = fields.next();
  if (!exponent || !modulus || bitsOf(exponent) < 2 || (exponent.at(-1) ?? 0) % 2 === 0)
    return "it holds no RSA key";
  const bits = bitsOf(modulus);
  if (bits < LEAST_RSA_BITS) return `an RSA key has ${LEAST_RSA_BITS} bits or more`;
  return bits > MOST_RSA_BITS ? `an RSA key has at most ${MOST_RSA_BITS} bits` : undefined;
};

/** A key on a security token is the key itself, and then the name of its application. */
const onToken =
  (check: Check): Check =>
  (fields) =>
    check(fields) ?? (fields.next()?.length ? undefined : "it names no application");

/** The kinds that sshd accepts today (sshd(8), AUTHORIZED_KEYS FILE FORMAT); DSA is none of them. */
const KINDS: ReadonlyMap<string, Check> = new Map([
  ["ssh-ed25519", ed25519],
  ["ssh-rsa", rsa],
  ["ecdsa-sha2-nistp256", ecdsa("nistp256", 65)],
  ["ecdsa-sha2-nistp384", ecdsa("nistp384", 97)],
  ["ecdsa-sha2-nistp521", ecdsa("nistp521", 133)],
  ["sk-ssh-ed25519@openssh.com", onToken(ed25519)],
  ["sk-ecdsa-sha2-nistp256@openssh.com", onToken(ecdsa("nistp256", 65))],
]);

/** One line: kind, key, and a comment without control characters, since a second line would be a second key. */
const LINE = /^(\S+) ([A-Za-z0-9+/]+={0,2})( \P{Cc}{1,200})?$/u;

/** Why a line is no OpenSSH public key, for people; undefined when it is one. */
export function whyNoSshKey(line: string): string | undefined {
  const [, kind = "", base64 = ""] = LINE.exec(line) ?? [];
  const check = KINDS.get(kind);
  if (check === undefined) return "not an OpenSSH public key of a kind that is accepted";
  const blob = decode(base64);
  if (blob === undefined) return "its middle is no base64";
  const fields = fieldsOf(blob);
  if (text(fields.next()) !== kind) return `it says ${kind}, and holds a key of another kind`;
  return check(fields) ?? (fields.isAtEnd() ? undefined : "there is more in it than a key");
}

/** `atob` forgives what sshd does not: no padding, and bits that are set past the last byte. */
function decode(base64: string): Uint8Array | undefined {
  if (base64.length % 4 !== 0) return undefined;
  const read = atob(base64);
  return btoa(read) === base64 ? Uint8Array.from(read, (c) => c.charCodeAt(0)) : undefined;
}

function fieldsOf(blob: Uint8Array): Fields {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  let at = 0;
  return {
    next: () => {
      if (at + 4 > blob.length) return undefined;
      const end = at + 4 + view.getUint32(at);
      if (end > blob.length) return undefined;
      const field = blob.subarray(at + 4, end);
      at = end;
      return field;
    },
    isAtEnd: () => at === blob.length,
  };
}

/** The bits of a positive mpint (RFC 4251 §5); 0 for one that is not positive. */
function bitsOf(mpint: Uint8Array): number {
  if ((mpint[0] ?? 0) >= 0x80) return 0;
  const first = mpint.findIndex((byte) => byte !== 0);
  if (first < 0) return 0;
  return (mpint.length - first) * 8 - Math.clz32(mpint[first] ?? 0) + 24;
}

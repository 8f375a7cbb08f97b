import { ok, refuse, type Refusal, type Result } from "#core/result.ts";
import { firstUnplain } from "./seed-text.ts";

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

/** One line: kind, key, and a comment, with one blank between them. */
const LINE = /^(\S+) ([A-Za-z0-9+/]+={0,2})(?: (.*))?$/su;
/** Of a comment, in characters: more is for nobody, and cut off. */
const MOST_COMMENT = 200;
/** Of a line: an RSA key of the most bits has less than half of it. */
const MOST_LINE = 8192;

/** Whole files of other kinds, of which no line is looked at. What is wrong is said without a word of what they hold. */
const OTHER_FILES: readonly (readonly [RegExp, string])[] = [
  [
    /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|^PuTTY-User-Key-File-/m,
    "a private key: keep it to yourself, make another, and give that one's public half (the file that ends in .pub)",
  ],
  [
    /---- ?BEGIN SSH2 PUBLIC KEY ?----/,
    "a key in the form of RFC 4716: `ssh-keygen -i -f FILE` writes it as OpenSSH has it",
  ],
  [
    /-----BEGIN [A-Z0-9 ]*PUBLIC KEY-----/,
    "a key in the form of PEM: `ssh-keygen -i -m PKCS8 -f FILE` writes it as OpenSSH has it",
  ],
];

/**
 * The keys of a paste: a line each, as in an `authorized_keys` file. What is harmless is folded: ends of lines of other
 * systems, blanks and tabs, empty lines and lines of comment, a comment that is too long. `detail` of a refusal is for people,
 * and names the cause.
 */
export function readSshKeys(paste: string): Result<readonly string[], Refusal<"ssh_key_invalid">> {
  const other = OTHER_FILES.find(([form]) => form.test(paste));
  if (other) return refuse("ssh_key_invalid", other[1]);
  const lines = paste
    .replace(/^\ufeff/, "")
    .split(/\r\n|\r|\n/)
    .map((line, n) => ({ number: n + 1, key: folded(line) }))
    .filter(({ key }) => key !== "" && !key.startsWith("#"));
  if (lines.length === 0) return refuse("ssh_key_invalid", "there is no key in it");
  for (const { number, key } of lines) {
    const why = whyNoSshKey(key);
    if (why !== undefined)
      return refuse("ssh_key_invalid", lines.length > 1 ? `line ${number}: ${why}` : why);
  }
  return ok(lines.map(({ key }) => key));
}

function folded(line: string): string {
  const words = line.split(/[ \t\u00a0]+/).filter((word) => word !== "");
  const [kind, base64, ...comment] = words;
  if (comment.length === 0) return words.join(" ");
  const most = Array.from(comment.join(" ")).slice(0, MOST_COMMENT).join("").trimEnd();
  return [kind, base64, ...(kind && KINDS.has(kind) ? [most] : comment)].join(" ");
}

/** Why a line is no OpenSSH public key, for people; undefined when it is one. */
export function whyNoSshKey(line: string): string | undefined {
  if (line.length > MOST_LINE) return `a line of more than ${MOST_LINE} characters is no key`;
  const [, kind = "", base64 = "", comment] = LINE.exec(line) ?? [];
  const check = KINDS.get(kind);
  if (check === undefined) return whyNoKind(line);
  if (comment === "" || (comment ?? "").length > 2 * MOST_COMMENT)
    return "its comment is empty or too long";
  const unplain = comment && firstUnplain(comment);
  if (unplain) return `its comment holds the character ${unplain}, which no guest can be given`;
  const blob = decode(base64);
  if (blob === undefined) return "its middle is no base64";
  const fields = fieldsOf(blob);
  if (text(fields.next()) !== kind) return `it says ${kind}, and holds a key of another kind`;
  return check(fields) ?? (fields.isAtEnd() ? undefined : "there is more in it than a key");
}

/** What people give who have a key and give it in another way. */
function whyNoKind(line: string): string {
  const [first = "", ...more] = line.split(" ");
  if (first === "ssh-dss") return "a DSA key, which no sshd of today accepts: make an Ed25519 key";
  if (/-cert-v\d\d@openssh\.com$/.test(first))
    return "a certificate: give the key itself, which it was made of";
  if (more.some((word) => KINDS.has(word)))
    return `options stand before the key: give the key alone, from its kind on`;
  return "not an OpenSSH public key of a kind that is accepted";
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

/*
 * Which hosts an image may be fetched from beside its URL, and who is to wait for that (docs/adr/0039).
 */

/** Whence a host fetches an image: the URL that staff gave, or another host that holds it. */
export const IMAGE_SOURCES = ["url", "peer"] as const;
export type ImageSourceKind = (typeof IMAGE_SOURCES)[number];

/** Named to a host for one image. */
export const MOST_PEERS = 3;
/** So many of a location's hosts fetch an image from its URL; the others wait for one of them, and have it from there. */
const MOST_SEEDERS = 2;

/** A host that serves images, as its agent last said. */
export type ImageServer = Readonly<{
  hostId: string;
  /** On the ring of all hosts (`placeOf`). */
  place: number;
  locationId: string;
  /** Of the files that are asked for, those that it holds whole, with the checksum that is asked for. */
  holds: readonly string[];
  /** Those that it could not fetch. */
  failed: readonly string[];
}>;

/** Who asks. `serves`: it will hand on what it fetches. */
export type ImageAsker = Readonly<{ hostId: string; locationId: string; serves: boolean }>;
export type AskedImage = Readonly<{ file: string; locationIds: readonly string[] | null }>;

/** A host's place on a ring, by which askers are spread over those that serve: of an id's end, which is random (RFC 9562 §5.7). */
export const placeOf = (hostId: string): number => Number.parseInt(hostId.slice(-6), 16);
const RING = 0x1000000;

/**
 * The hosts to ask for an image: those of the same location first, then those of the group elsewhere, each from the asker's place on the
 * ring onwards. Where none holds it and others near are to fetch it and serve it, the asker waits for them (`soon`); those others
 * are the same for all who ask, and who has failed is none of them.
 */
export function peersFor(
  asker: ImageAsker,
  { file, locationIds }: AskedImage,
  servers: readonly ImageServer[],
): Readonly<{ peers: readonly ImageServer[]; soon: boolean }> {
  const from = placeOf(asker.hostId);
  const distance = ({ place }: ImageServer) => (place - from - 1 + RING) % RING;
  const isNear = (server: ImageServer) => server.locationId === asker.locationId;
  // Who should not hold it does not serve it either.
  const should = servers.filter(
    (server) =>
      server.hostId !== asker.hostId && (locationIds?.includes(server.locationId) ?? true),
  );
  const holders = should
    .filter(({ holds }) => holds.includes(file))
    .toSorted((a, b) => Number(isNear(b)) - Number(isNear(a)) || distance(a) - distance(b));
  if (holders.length > 0) return { peers: holders.slice(0, MOST_PEERS), soon: false };
  const near = should.filter((server) => isNear(server) && !server.failed.includes(file));
  const seeders = [
    ...near.map(({ hostId }) => hostId),
    ...(asker.serves ? [asker.hostId] : []),
  ].toSorted((a, b) => placeOf(a) - placeOf(b) || (a < b ? -1 : 1));
  const first = seeders.slice(0, MOST_SEEDERS);
  return { peers: [], soon: near.length > 0 && !first.includes(asker.hostId) };
}

/**
 * Whether a host's word on its address is passed on to others, who will dial it: one address of the wide or of a private network, and
 * none that means something else to whoever dials it.
 */
export function mayBeDialled(address: string): boolean {
  if (/^[\d.]+$/.test(address)) {
    const [first = 0, second = 0] = address.split(".").map(Number);
    const isOwn = first === 0 || first === 127 || (first === 169 && second === 254);
    return !isOwn && first < 224;
  }
  // As a URL spells it, whoever spelt it how: unicast (2000::/3) and unique local (fc00::/7) addresses.
  const spelt = URL.parse(`http://[${address}]/`)?.hostname ?? "";
  return /^\[(?:[23][0-9a-f]{3}|f[cd][0-9a-f]{2}):/.test(spelt);
}

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MOST_PEERS, mayBeDialled, peersFor, placeOf, type ImageServer } from "./image-peers.ts";

/* 12.7: a host can also fetch an image from another host. */

const [HERE, THERE] = ["here", "there"];
const hostAt = (place: number) =>
  `0199f0a2-b3c4-7d5e-8f90-000000${place.toString(16).padStart(6, "0")}`;
const server = (place: number, over: Partial<ImageServer> = {}): ImageServer => ({
  hostId: hostAt(place),
  place,
  locationId: HERE,
  holds: ["debian"],
  failed: [],
  ...over,
});
const asker = (place: number, serves = false) => ({
  hostId: hostAt(place),
  locationId: HERE,
  serves,
});
const debian = { file: "debian", locationIds: null };
const placesOf = (servers: readonly ImageServer[]) => servers.map(({ place }) => place);
const empty = { holds: [] };

describe("the hosts that an image is fetched from", () => {
  test("are the next ones on the ring that hold it, three at the most, and never the asker", () => {
    const servers = [10, 20, 30, 40, 50].map((place) => server(place));
    expect(placesOf(peersFor(asker(20), debian, servers).peers)).toEqual([30, 40, 50]);
    expect(placesOf(peersFor(asker(45), debian, servers).peers)).toEqual([50, 10, 20]);
    expect(placesOf(peersFor(asker(45), { ...debian, file: "alma" }, servers).peers)).toEqual([]);
  });

  test("are those of the location before those of the group elsewhere", () => {
    const servers = [server(11, { locationId: THERE }), server(5)];
    expect(placesOf(peersFor(asker(10), debian, servers).peers)).toEqual([5, 11]);
  });

  test("are none where it should not be held", () => {
    const servers = [server(11, { locationId: THERE }), server(12)];
    const here = { ...debian, locationIds: [HERE] };
    expect(placesOf(peersFor(asker(10), here, servers).peers)).toEqual([12]);
  });

  test("are spread over those that serve, whoever asks", () => {
    const servers = [100, 200, 300, 400].map((place) => server(place));
    const first = [1, 101, 201, 301].map((at) => peersFor(asker(at), debian, servers).peers[0]);
    expect(placesOf(first.flatMap((one) => one ?? []))).toEqual([100, 200, 300, 400]);
  });
});

describe("where nobody holds an image yet", () => {
  const servers = [10, 20, 30].map((place) => server(place, empty));
  const soonAt = (place: number, serves: boolean, among: readonly ImageServer[] = servers) =>
    peersFor(
      asker(place, serves),
      debian,
      among.filter((one) => one.place !== place),
    ).soon;

  test("two of those that serve fetch it from its URL, and all others wait for them", () => {
    expect([10, 20, 30].map((place) => soonAt(place, true))).toEqual([false, false, true]);
    expect(soonAt(5, false)).toBe(true);
  });

  test("who could not fetch it is waited for by nobody, and the next one has its turn", () => {
    const [first, ...more] = servers;
    const without = [{ ...server(10, empty), failed: ["debian"] }, ...more];
    expect(first).toBeDefined();
    expect(soonAt(30, true, without)).toBe(false);
    expect(soonAt(40, false, without)).toBe(true);
    const none = servers.map((one) => ({ ...one, failed: ["debian"] }));
    expect(soonAt(40, false, none)).toBe(false);
  });

  test("nobody waits where nobody serves, nor for another location or for who should not hold it", () => {
    expect(soonAt(40, false, [])).toBe(false);
    expect(soonAt(40, false, [server(10, { ...empty, locationId: THERE })])).toBe(false);
    const there = { file: "debian", locationIds: [THERE] };
    expect(peersFor(asker(40), there, servers).soon).toBe(false);
  });

  test("somebody always fetches it from the URL: not all who serve wait", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(1000), { minLength: 1, maxLength: 8 }),
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        (places, failed) => {
          const all = places.map((place, at) =>
            server(place, { holds: [], failed: failed[at] ? ["debian"] : [] }),
          );
          const waits = all.map((one) =>
            peersFor(
              asker(one.place, one.failed.length === 0),
              debian,
              all.filter((other) => other !== one),
            ),
          );
          expect(waits.every(({ soon }) => soon)).toBe(false);
        },
      ),
    );
  });
});

test("a host's place is the end of its id, and no more is named to it than fits", () => {
  expect(placeOf(hostAt(0xabcdef))).toBe(0xabcdef);
  const many = Array.from({ length: 50 }, (_, at) => server(at));
  expect(peersFor(asker(7), debian, many).peers).toHaveLength(MOST_PEERS);
});

test.each([
  ["10.0.0.5", true],
  ["203.0.113.9", true],
  ["192.168.1.1", true],
  ["0.0.0.0", false],
  ["127.0.0.1", false],
  ["127.9.9.9", false],
  ["169.254.169.254", false],
  ["224.0.0.1", false],
  ["255.255.255.255", false],
  ["2001:db8::1", true],
  ["fd00:1::5", true],
  ["FD00:0:0::5", true],
  ["::", false],
  ["::1", false],
  ["0:0:0:0:0:0:0:1", false],
  ["fe80::1", false],
  ["ff02::1", false],
  ["::ffff:127.0.0.1", false],
  ["64:ff9b::7f00:1", false],
])("an address that others are told to dial means one host to all of them: %s, %s", (at, may) => {
  expect(mayBeDialled(at)).toBe(may);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  assignableAddresses,
  IP_QUARANTINE_MS,
  ipv4ToNumber,
  macForIpv4,
  numberToIpv4,
} from "./address.ts";

const anAddress = fc.integer({ min: 0, max: 2 ** 32 - 1 });

test("an address is a number and back", () => {
  fc.assert(
    fc.property(anAddress, (n) => {
      expect(ipv4ToNumber(numberToIpv4(n))).toBe(n);
    }),
  );
});

test.each(["", "1.2.3", "1.2.3.4.5", "256.0.0.1", "::1", "1.2.3.4 ", "a.b.c.d"])(
  "%j is no address",
  (text) => {
    expect(() => ipv4ToNumber(text)).toThrow("not an IPv4 address");
  },
);

describe("the addresses of a pool", () => {
  test("are all but the network's, the gateway's and the broadcast's", () => {
    expect(assignableAddresses({ cidr: "192.0.2.8/29", gateway: "192.0.2.9" })).toEqual({
      ok: true,
      value: ["192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14"],
    });
  });

  test("leave the gateway out wherever it lies, to the last address before the broadcast's", () => {
    expect(assignableAddresses({ cidr: "192.0.2.8/29", gateway: "192.0.2.14" })).toEqual({
      ok: true,
      value: ["192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13"],
    });
  });

  test("are those of a /16 at the most", () => {
    const largest = assignableAddresses({ cidr: "10.1.0.0/16", gateway: "10.1.0.1" });
    expect(largest.ok && [largest.value.length, largest.value[0], largest.value.at(-1)]).toEqual([
      65_533,
      "10.1.0.2",
      "10.1.255.254",
    ]);
    expect(assignableAddresses({ cidr: "10.0.0.0/15", gateway: "10.0.0.1" }).ok).toBe(false);
  });

  test("are as many as the block has, less three", () => {
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 30 }), (prefix) => {
        const pool = assignableAddresses({ cidr: `10.0.0.0/${prefix}`, gateway: "10.0.0.1" });
        expect(pool.ok && pool.value.length).toBe(2 ** (32 - prefix) - 3);
      }),
    );
  });

  test.each([
    { name: "too large", cidr: "10.0.0.0/8", gateway: "10.0.0.1" },
    { name: "too small", cidr: "10.0.0.0/31", gateway: "10.0.0.1" },
    { name: "without a length", cidr: "10.0.0.0", gateway: "10.0.0.1" },
    { name: "not named by its first address", cidr: "10.0.0.5/24", gateway: "10.0.0.1" },
    { name: "without its gateway", cidr: "10.0.0.0/24", gateway: "10.0.1.1" },
    { name: "whose gateway is its network", cidr: "10.0.1.0/24", gateway: "10.0.1.0" },
    { name: "whose gateway lies before it", cidr: "10.0.1.0/24", gateway: "10.0.0.255" },
    { name: "whose gateway is the broadcast", cidr: "10.0.0.0/24", gateway: "10.0.0.255" },
  ])("are none of a block that is $name", ({ cidr, gateway }) => {
    expect(assignableAddresses({ cidr, gateway })).toMatchObject({
      error: { code: "pool_invalid" },
    });
  });
});

test("an address that was given back rests for a day", () => {
  expect(IP_QUARANTINE_MS).toBe(86_400_000);
});

describe("the MAC of an address", () => {
  test("is locally administered, ours, and for one NIC", () => {
    expect(macForIpv4("198.18.0.10")).toBe("02:be:c6:12:00:0a");
  });

  test("is another one for every other address", () => {
    fc.assert(
      fc.property(anAddress, anAddress, (a, b) => {
        fc.pre(a !== b);
        expect(macForIpv4(numberToIpv4(a))).not.toBe(macForIpv4(numberToIpv4(b)));
      }),
    );
  });
});

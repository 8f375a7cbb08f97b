import { expect, test } from "vitest";
import { withField } from "#test/harness/with-field.ts";
import { AddPool } from "./network.ts";

const POOL = { cidr: "192.0.2.0/24", gateway: "192.0.2.1", vlan: 7 };

test("a pool of addresses is untagged, when no VLAN is said", () => {
  expect(AddPool.parse(POOL)).toEqual(POOL);
  expect(AddPool.parse({ cidr: POOL.cidr, gateway: POOL.gateway })).toEqual({
    ...POOL,
    vlan: null,
  });
});

test.each([1, 4094, null])("a pool may have the VLAN %j", (vlan) => {
  expect(AddPool.parse({ ...POOL, vlan })).toEqual({ ...POOL, vlan });
});

test.each<[string, unknown]>([
  ["cidr", "192.0.2.0"],
  ["cidr", "192.0.2.0/33"],
  ["cidr", "2001:db8::/64"],
  ["gateway", "192.0.2.256"],
  ["gateway", "2001:db8::1"],
  ["gateway", undefined],
  ["vlan", 0],
  ["vlan", 4095],
  ["vlan", 1.5],
  ["locationId", "loc_1"],
])("a pool may not have %s of %j", (field, value) => {
  expect(AddPool.safeParse(withField(POOL, field, value)).success).toBe(false);
});

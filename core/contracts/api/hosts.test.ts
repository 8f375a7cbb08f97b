import { expect, test } from "vitest";
import { withField } from "#test/harness/with-field.ts";
import { AddHost } from "./hosts.ts";

const HOST = {
  name: "kvm-1.fsn",
  locationId: "loc_0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  testOnly: true,
  cpuOvercommit: 2,
};
const TAKEN = { ...HOST, locationId: "0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6" };

test("a host that is added names its location by the bare id", () => {
  expect(AddHost.parse(HOST)).toEqual(TAKEN);
});

test("a host of which no more is said is for everybody, four vCPUs a thread", () => {
  const { name, locationId } = HOST;
  expect(AddHost.parse({ name, locationId })).toEqual({
    ...TAKEN,
    testOnly: false,
    cpuOvercommit: 4,
  });
});

test.each<[string, unknown]>([
  ["name", "0"],
  ["name", `a${".-".repeat(31)}`],
  ["testOnly", false],
  ["cpuOvercommit", 1],
  ["cpuOvercommit", 32],
])("a host may be added with %s of %j", (field, value) => {
  expect(AddHost.parse(withField(HOST, field, value))).toEqual(withField(TAKEN, field, value));
});

test.each<[string, unknown]>([
  ["name", ""],
  ["name", ".a"],
  ["name", "Kvm"],
  ["name", " kvm"],
  ["name", "kvm 1"],
  ["name", "kvm\n"],
  ["name", "k".repeat(64)],
  ["locationId", "host_0199f0a2b3c47d5e8f90a1b2c3d4e5f6"],
  ["testOnly", "yes"],
  ["cpuOvercommit", 0],
  ["cpuOvercommit", 1.5],
  ["cpuOvercommit", 33],
  ["state", "active"],
])("a host may not be added with %s of %j", (field, value) => {
  expect(AddHost.safeParse(withField(HOST, field, value)).success).toBe(false);
});

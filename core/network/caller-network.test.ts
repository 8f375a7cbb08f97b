import { expect, test } from "vitest";
import { callerOf, networkOf } from "./caller-network.ts";

// 4b A2
test.each([
  ["192.0.2.77", "192.0.2.0/24"],
  ["255.254.253.252", "255.254.253.0/24"],
  ["::ffff:192.0.2.77", "192.0.2.0/24"],
  ["::ffff:c000:24d", "192.0.2.0/24"],
  ["2001:db8:1:2ff::9", "2001:db8:1:200::/56"],
  ["2001:DB8:1:2ab:3:4:5:6", "2001:db8:1:200::/56"],
  ["2001:db8::", "2001:db8:0:0::/56"],
  ["::1", "0:0:0:0::/56"],
  ["::c000:24d", "0:0:0:0::/56"],
  ["", undefined],
  ["unknown", undefined],
  ["192.0.2", undefined],
  ["192.0.2.256", undefined],
  ["192.0.2.7:443", undefined],
  ["192.0.2.7, 198.51.100.9", undefined],
  ["fe80::1%eth0", undefined],
  ["2001:db8::1]/x[", undefined],
])("%j is counted by %j", (address, network) => {
  expect(networkOf(address)).toBe(network);
});

// 4b B1
test.each([
  ["192.0.2.77", "192.0.2.77/32"],
  ["::ffff:192.0.2.77", "192.0.2.77/32"],
  ["2001:db8:1:2ff::9", "2001:db8:1:200::/56"],
  ["2001:db8:1:2ab::1", "2001:db8:1:200::/56"],
  ["2001:db8:1:300::1", "2001:db8:1:300::/56"],
  ["unknown", undefined],
  ["192.0.2.7:443", undefined],
])("the attempts of %j are counted by %j", (address, caller) => {
  expect(callerOf(address)).toBe(caller);
});

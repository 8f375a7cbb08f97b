import { expect, test } from "vitest";
import { WAITS_FOR_CODES, waitsFor, type WaitsForCode } from "./waits-for.ts";
import type { Action } from "./action.ts";
import { AT } from "#test/builders.ts";

/* 5.6: staff see what an action that is stuck waits for. */

const ACTION: Action = {
  id: "a",
  vmId: "v",
  type: "start",
  status: "running",
  generation: 7,
  startedAt: AT,
  finishedAt: null,
  error: null,
};
const VM = {
  observedGeneration: 7,
  observedPower: "off",
  guestReadyAt: null,
  lastErrorCode: null,
  lastErrorDetail: null,
  lostAt: null,
} as const;
const HOST = { isInMaintenance: false, isSilent: false, isHypervisorAway: false, served: 31 };
type Case = {
  action?: Partial<Action>;
  vm?: Partial<Parameters<typeof waitsFor>[1]>;
  host?: Partial<typeof HOST>;
};
const failing = (lastErrorCode: string) => ({ vm: { lastErrorCode, lastErrorDetail: "its word" } });

const CASES: Readonly<Record<WaitsForCode, readonly Case[]>> = {
  host_in_maintenance: [
    { host: { isInMaintenance: true, isSilent: true } },
    { host: { isInMaintenance: true, isHypervisorAway: true } },
  ],
  hypervisor_away: [
    { host: { isHypervisorAway: true, isSilent: true } },
    failing("hypervisor_unavailable"),
  ],
  host_silent: [{ host: { isSilent: true, served: 30 } }],
  host_to_fetch: [{ host: { served: 30 } }],
  agent_upgrade: [failing("unsupported_by_agent")],
  vm_lost: [failing("vm_missing"), { vm: { lostAt: AT } }],
  vm_off: [failing("must_be_off")],
  host_to_succeed: [failing("out_of_disk"), failing("a_newer_word")],
  host_to_report: [{ vm: { observedGeneration: 6, lastErrorCode: "out_of_disk" } }],
  guest_to_speak: [{ action: { type: "create" }, vm: { observedPower: "running" } }],
  guest_to_shut_down: [{ action: { type: "shutdown" }, vm: { observedPower: "running" } }],
  host_to_finish: [
    {},
    { host: { isInMaintenance: true } },
    { action: { type: "create" } },
    { action: { type: "shutdown" } },
  ],
};

test.each(WAITS_FOR_CODES)("an action waits for %s", (code) => {
  for (const { action, vm, host } of CASES[code]) {
    const kept = { action: { ...ACTION, ...action }, hostGeneration: 31 };
    const found = waitsFor(kept, { ...VM, ...vm }, { ...HOST, ...host });
    expect(found?.code).toBe(code);
    const hostsWord = vm?.lastErrorCode !== undefined && code !== "host_to_report";
    expect(found?.detail.includes("its word")).toBe(hostsWord);
  }
});

test("an action that has ended waits for nothing", () => {
  const action = { ...ACTION, status: "success", finishedAt: AT } as const;
  expect(waitsFor({ action, hostGeneration: 31 }, VM, HOST)).toBeNull();
});

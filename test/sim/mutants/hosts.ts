import type { Mutant } from "./plant.ts";

/** Of hosts, what they are told and what they say. */
export const HOSTS: readonly Mutant[] = [
  {
    name: "report: any host may end an action of any VM",
    file: "commands/vms/record-vm-report.ts",
    find: "new Map([...actions].filter(([vmId]) => bound.has(vmId)))",
    replace: "new Map(actions)",
    plan: "told-of-while-it-is-resized",
  },
  {
    name: "report: the owner's epoch is not compared",
    file: "core/vms/judge-report.ts",
    find: `if (report.ownerEpoch !== vm.ownerEpoch) return "foreign";
  if (report.observed && report.observed.ownerEpoch !== vm.ownerEpoch) return "foreign";`,
    replace: "",
  },
  {
    name: "report: a generation that nobody asked for is believed",
    file: "core/vms/judge-report.ts",
    find: `if (report.generation > vm.generation) return "foreign";`,
    replace: "",
  },
  {
    name: "report: any host may speak of any VM",
    file: "db/vms/vms.ts",
    find: ".where(and(eq(vms.hostId, at.hostId), sql`${vms.id} = any(",
    replace: ".where(and(sql`${vms.id} = any(",
    plan: "told-of-by-another-host",
  },
  {
    // The number is compared by the decision and by the update that keeps it; without one neither has anything to compare.
    name: "report: an agent does not number what it tells",
    file: "host-agent/channel/sent-reports.ts",
    find: "serial: { process, seq }, ...more",
    replace: "...(seq < 0 ? { serial: { process, seq } } : {}), ...more",
  },
  {
    name: "host: its own word raises what it may give away",
    file: "core/hosts/capacity.ts",
    find: "memoryMib: Math.min(memoryMib, ceiling.memoryMib),",
    replace: "memoryMib,",
  },
  {
    name: "clock: an agent signs by its own",
    file: "host-agent/channel/plane-time.ts",
    find: "<= MOST_CORRECTION_MS ? new Date(planeMs()) : clock.now();",
    replace: "<= 0 ? new Date(planeMs()) : clock.now();",
  },
  {
    name: "clock: an agent tells of usage in its own time",
    file: "host-agent/agent.ts",
    find: "const planeClock: Clock = { now: () => planeTime.now(), sleep: clock.sleep };",
    replace: "const planeClock: Clock = { now: () => clock.now(), sleep: clock.sleep };",
  },
  {
    name: "clock: an agent believes what an old answer says the time is",
    file: "host-agent/channel/control-plane.ts",
    find: "if (date !== null && tookMs <= limit.ms)",
    replace: "if (date !== null && tookMs >= 0)",
  },
  {
    // The database of the simulator has one session: what is only suggested is never out of date in it. So both go.
    name: "reservation: neither the suggestion nor the update minds what memory is taken",
    file: "db/hosts/capacity.ts",
    find: "(${hosts.capacityMemoryMib} - ${hosts.allocatedMemoryMib})",
    replace: "(${hosts.capacityMemoryMib} - 0)",
  },
  {
    name: "reservation: room is held and not counted",
    file: "db/hosts/capacity.ts",
    find: "allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} + ${memoryMib}`,",
    replace: "",
  },
  {
    name: "reservation: room is given back and stays counted",
    file: "db/hosts/capacity.ts",
    find: "allocatedMemoryMib: sql`${hosts.allocatedMemoryMib} - ${r.memoryMib}`,",
    replace: "",
  },
  {
    name: "reservation: a VM's place is given back and the VM stays counted",
    file: "db/hosts/capacity.ts",
    find: "allocatedVms: sql`${hosts.allocatedVms} - 1`,",
    replace: "",
  },
  {
    name: "address: leased without being taken out of the free ones",
    file: "db/network/addresses.ts",
    find: `.set({ busyUntil: sql\`'infinity'\` })
    .where(and(eq(ipAddresses.poolId, free.poolId)`,
    replace: `.set({ busyUntil: input.now })
    .where(and(eq(ipAddresses.poolId, free.poolId)`,
  },
  {
    name: "address: no rest after its release",
    file: "core/network/address.ts",
    find: "export const IP_QUARANTINE_MS = 24 * 60 * 60_000;",
    replace: "export const IP_QUARANTINE_MS = 0;",
  },
  {
    name: "driver: builds on in a VM without our tag",
    file: "host-agent/drivers/simulated/driver.ts",
    find: "if (vm.ownerEpoch === null)",
    replace: "if (vm.ownerEpoch === null) return vm;\n    if (vm.ownerEpoch === -1)",
  },
  {
    // Nobody destroys what is not in the list: so it takes both.
    name: "driver: destroys a VM without our tag",
    file: "host-agent/drivers/simulated/driver.ts",
    find: "const found = await find(ref);",
    replace: "const found = await world.vm(ref.vmId);",
    also: {
      find: "vm.ownerEpoch === null || foreign(vm) ? [] : [{ vm, ownerEpoch: vm.ownerEpoch }],",
      replace: "[{ vm, ownerEpoch: vm.ownerEpoch ?? 1 }],",
    },
  },
  {
    name: "agent: empties the trash at once",
    file: "host-agent/agent.ts",
    find: "trashHours: 7 * 24,",
    replace: "trashHours: 0,",
  },
  {
    name: "agent: does not stop what is not paid",
    file: "core/vms/plan-vm-step.ts",
    find: `return situation.planeNow.getTime() > until ? "off" : situation.desired.power;`,
    replace: "return until > 0 ? situation.desired.power : situation.desired.power;",
  },
  {
    name: "agent: one-shot work is begun without being written down",
    file: "host-agent/converge/vm-actions.ts",
    find: "await journal.begin(action.id, desired.vmId);",
    replace: "",
  },
  {
    name: "agent: looks only when a doorbell rings",
    file: "host-agent/loop.ts",
    find: `every("resync", resyncMs, resync),`,
    replace: "",
  },
  // Not here: "a command does not raise its host's generation". The reader of desired documents raises it then, so that
  // nothing is broken but the doorbell's haste; `test/db/vms/raises-generation.test.ts` is what misses it.
];

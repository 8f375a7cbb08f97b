import type { Mutant } from "./plant.ts";

/** Of hosts that are emptied, retired, or that somebody is to be at. */
export const DRAINS: readonly Mutant[] = [
  {
    name: "drain: more VMs move at once than it was told",
    file: "commands/moves/follow-drain.ts",
    find: `if ((vms.moving ?? 0) >= drain.maxParallel) return "waits" as const;`,
    replace: "",
    also: {
      find: "return moving < drain.maxParallel ? { drain, tries } : null;",
      replace: "return moving >= 0 ? { drain, tries } : null;",
    },
    plan: "host-emptied",
  },
  {
    name: "drain: it goes on although its host takes VMs again",
    file: "commands/moves/follow-drain.ts",
    find: `isDraining: (await loadHost(tx, drain.hostId))?.state === "draining",`,
    replace: "isDraining: true,",
    also: {
      find: `if ((await loadHost(tx, drain.hostId))?.state !== "draining")`,
      replace: "if ((await loadHost(tx, drain.hostId)) === undefined)",
    },
    plan: "drain-stopped-between-vms",
  },
  {
    name: "drain: one whose host takes VMs again never ends",
    file: "core/moves/drain.ts",
    find: `if (!now.isDraining) return "stopped";`,
    replace: "if (!now.isDraining) return null;",
    plan: "drain-stopped-between-vms",
  },
  {
    name: "drain: it is over while a VM is on its way",
    file: "core/moves/drain.ts",
    find: "if (waiting + moving > 0 || now.isComing) return null;",
    replace: "if (waiting > 0 || now.isComing) return null;",
    plan: "host-emptied",
  },
  {
    name: "drain: a VM whose move was turned back counts as moved",
    file: "core/moves/drain.ts",
    find: `if (step !== "drop" && outcome !== "turned_back") return null;`,
    replace: `if (step === "drop" || outcome === "turned_back") return { as: "arrive" };
  if (step !== "drop") return null;`,
    plan: "drained-to-a-host-that-is-away",
  },
  {
    name: "drain: a VM whose move was turned back is moved once more",
    file: "commands/moves/follow-drain.ts",
    find: `await saveDrainVm(tx, of, { state: toState("waiting", "begin"), moveId, why: null });`,
    replace: `await saveDrainVm(tx, of, { state: "waiting", dueAt: at.now, why: moveId === "" ? null : null });`,
    plan: "drained-to-a-host-that-is-away",
  },
  {
    name: "drain: nobody looks after what was put off",
    file: "functions/sweep.ts",
    find: "follow_drains: followDrains,",
    replace: "",
    plan: "drained-before-it-has-booted",
  },
  {
    name: "host: one that is emptied is sold still",
    file: "db/hosts/in-state.ts",
    find: `export const takesNewVms = eq(hosts.state, "active");`,
    replace: "export const takesNewVms = sql`${hosts.state} in ('active', 'draining')`;",
    plan: "ordered-while-its-host-is-emptied",
  },
  {
    name: "host: it is retired with all that it holds",
    file: "commands/hosts/move-host.ts",
    find: "if (!free.ok) return free;",
    replace: "",
    plan: "host-retired-once-empty",
  },
  {
    name: "maintenance: who was not mailed counts as told",
    file: "commands/messages/send-mail.ts",
    find: "await deps.mail.send(",
    replace: `if (mail.kind !== "maintenance") await deps.mail.send(`,
    plan: "maintenance-announced",
  },
];

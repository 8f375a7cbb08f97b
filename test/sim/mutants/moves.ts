import type { Mutant } from "./plant.ts";

/** Of moves between hosts. */
export const MOVES: readonly Mutant[] = [
  {
    name: "move: its VM's owner changes before the source has released it",
    file: "core/moves/next-step.ts",
    find: `return says(word, "source", "released");`,
    replace: `return move.step === "release";`,
    plan: "moved-there-and-back",
  },
  {
    name: "move: an epoch of an attempt that was turned back is drawn again",
    file: "db/moves/moves.ts",
    find: "return Math.max(vm.ownerEpoch, row?.epoch ?? 0) + 1;",
    replace: "return Math.max(vm.ownerEpoch, 0 * (row?.epoch ?? 0)) + 1;",
    plan: "move-stopped",
  },
  {
    name: "move: what comes to its new host is another disk",
    file: "host-agent/drivers/simulated/moves.ts",
    find: "await put(hands.defined(vm, disk));",
    replace: "await put(hands.defined(vm, { ...disk, serial: `${disk.serial}-new` }));",
    plan: "moved-there-and-back",
  },
  {
    name: "move: its destination says that it has what it has only received",
    file: "host-agent/moves/take-copy.ts",
    find: "const moved = await waitFor(receiver.received);",
    replace: `const moved = await waitFor(receiver.received);
    doing.say(copied(moved));
    await waitFor(untilAborted(signal));`,
    plan: "moved-there-and-back",
  },
  {
    name: "move: its VM has a new epoch, and the host that it had",
    file: "commands/moves/take-move-step.ts",
    find: "hostId: move.destinationHostId,",
    replace: "hostId: vm.hostId,",
    plan: "moved-there-and-back",
  },
  {
    name: "move: its VM's place stays where it was",
    file: "commands/moves/take-move-step.ts",
    find: "await swapHomes(tx, vm.id);",
    replace: "",
    plan: "moved-once",
  },
  {
    name: "move: the room of the end that it leaves is never given back",
    file: "commands/moves/take-move-step.ts",
    find: `if (to === "ended") await releaseHeldByMove(tx, vm.id, at.now);`,
    replace: "",
    plan: "moved-once",
  },
  {
    name: "move: the files of an attempt that is over stay",
    file: "host-agent/moves/tidy-moves.ts",
    find: "await folder.remove(path.join(moves.folder, name));",
    replace: "",
    plan: "moved-there-and-back",
  },
  {
    name: "move: what the host before has measured counts no more",
    file: "db/usage/meters.ts",
    find: "and ${moves.releasedAt} is not null\n      and ${moves.vmId} = any(",
    replace: "and ${moves.releasedAt} is null\n      and ${moves.vmId} = any(",
    plan: "moved-there-and-back",
  },
  {
    name: "move: another one begins while a host has still to put away what the last one left",
    file: "core/moves/preflight.ts",
    find: "running === null && openMove === null",
    replace: "running === null",
    plan: "moved-again-too-soon",
  },
  {
    name: "move: a VM is gone before the copy that it left is put away",
    file: "commands/vms/record-vm-report.ts",
    find: "if (await lockOpenMove(tx, vm.id))",
    replace: "if ((await lockOpenMove(tx, vm.id))?.move.id === '')",
    plan: "deleted-before-its-copy-is-put-away",
  },
  {
    name: "move: of one that is turned back its source puts its copy away",
    file: "core/moves/part.ts",
    find: `case "drop":
      return { ...its, presence: null, power: null, isNamed: false };`,
    replace: `case "drop":
      return { ...its, presence: "absent", power: null, isNamed: false };`,
    plan: "move-stopped",
  },
];

import { expect, test } from "vitest";
import { checkOwner, domainName, fileStem, tagOfFile } from "./tag.ts";

const [VM, OTHER] = [
  "0190f000-0000-7000-8000-000000000001",
  "0190f000-0000-7000-8000-000000000002",
] as const;
const held = { vmId: VM, ownerEpoch: 3 };

test("a VM is its owner's alone: in the epoch that the host's records hold, no earlier and no later one", () => {
  expect(() => checkOwner(held, { ...held })).not.toThrow();
  const refused = (code: string): unknown => expect.objectContaining({ code });
  expect(() => checkOwner(held, { ...held, vmId: OTHER })).toThrow(refused("not_ours"));
  expect(() => checkOwner(held, { ...held, ownerEpoch: 2 })).toThrow(refused("stale_epoch"));
  expect(() => checkOwner(held, { ...held, ownerEpoch: 4 })).toThrow(refused("stale_epoch"));
  // Another VM is never a matter of its epoch.
  expect(() => checkOwner(held, { vmId: OTHER, ownerEpoch: 2 })).toThrow(refused("not_ours"));
});

test("a file's name tells whose it is, and no other name does", () => {
  expect(tagOfFile(`${fileStem(held)}.qcow2`)).toEqual(held);
  expect(tagOfFile(`${VM}.e1000000.iso`)).toEqual({ vmId: VM, ownerEpoch: 1_000_000 });
  for (const name of [
    `${VM}.qcow2`,
    `${VM}.e0.qcow2`,
    `${VM}.e03.qcow2`,
    `${VM}.e3`,
    `${VM}.e1234567890.qcow2`,
    `x${VM}.e3.qcow2`,
    `${VM.toUpperCase()}.e3.qcow2`,
  ])
    expect(tagOfFile(name)).toBeNull();
});

test.each(["", "../etc/passwd", `${VM}/../x`, `${VM}\n`, ` ${VM}`, VM.toUpperCase()])(
  "what is no id becomes neither a name nor a path: %j",
  (vmId) => {
    const notOurs: unknown = expect.objectContaining({ code: "not_ours" });
    expect(() => domainName(vmId)).toThrow(notOurs);
    expect(() => fileStem({ vmId, ownerEpoch: 1 })).toThrow(notOurs);
  },
);

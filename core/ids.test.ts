import fc from "fast-check";
import { expect, test } from "vitest";
import { ID_PREFIX, idIn, idOut, toWireId, type IdKind } from "./ids.ts";

const KINDS: IdKind[] = [
  "account",
  "agent_release",
  "agent_rollout",
  "action",
  "destroy_request",
  "drain",
  "finding",
  "host",
  "image",
  "invoice",
  "location",
  "mail",
  "move",
  "order",
  "plan",
  "plan_migration",
  "quote",
  "vm",
];

test("an id goes over the wire and comes back, for every kind", () => {
  expect([...KINDS].sort()).toEqual(Object.keys(ID_PREFIX).sort());
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), fc.uuid(), (kind, uuid) => {
      const wire = toWireId(kind, uuid);
      expect(idIn(kind).parse(wire)).toBe(uuid);
      expect(idOut(kind).parse(wire)).toBe(wire);
    }),
  );
});

test("one kind's id is not another's", () => {
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), fc.constantFrom(...KINDS), fc.uuid(), (a, b, uuid) => {
      expect(idIn(b).safeParse(toWireId(a, uuid)).success).toBe(a === b);
    }),
  );
});

test.each([
  "",
  "vm_",
  "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f",
  "vm_0199F0A2B3C47D5E8F90A1B2C3D4E5F6",
  "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6\n",
  "vm_0199f0a2-b3c4-7d5e-8f90-a1b2c3d4e5f6",
  "0199f0a2b3c47d5e8f90a1b2c3d4e5f6",
  "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6' or 1=1",
])("%j is no VM's id", (text) => {
  expect(idIn("vm").safeParse(text).success).toBe(false);
});

import { expect, test } from "vitest";
import { seen, unseen } from "./check.ts";
import { judgeAgent, type AgentFacts } from "./judge-agent.ts";
import { judgeKvm } from "./judge-kvm.ts";
import type { FolderSeen, KvmFacts } from "./kvm-facts.ts";

/* What cannot be planted on a machine of one's own: other file systems, their inodes, certificates, a clock without Date. */
const folder = (name: string, device = 7): FolderSeen => ({
  path: `/srv/berth/${name}`,
  at: { mode: 0o40711, device },
  closed: null,
});
const FOLDERS = {
  image: folder("images", 9),
  disk: folder("disks"),
  seed: folder("seeds"),
  console: folder("consoles"),
  trash: folder("trash"),
};
const nobody = unseen("not in this test");
const KVM: KvmFacts = {
  emulationAllowed: false,
  network: { kind: "bridge", name: "br0" },
  reserveDiskMib: 1024,
  missingPrograms: nobody,
  hasCpuFlags: nobody,
  kvmDevice: nobody,
  accelerator: nobody,
  libvirt: nobody,
  sockets: nobody,
  networkFault: nobody,
  missingVlans: nobody,
  hasSfq: nobody,
  hasSpoofFilter: nobody,
  ebtables: nobody,
  folders: seen(FOLDERS),
  looseFiles: nobody,
  space: seen({ freeMib: 1024, freeInodes: 200, inodes: 10_000 }),
  images: nobody,
  changedImages: nobody,
  firmware: nobody,
  confinement: nobody,
  mislabelled: nobody,
};
const kvm = (name: string, over: Partial<KvmFacts>) =>
  judgeKvm({ ...KVM, ...over }).find((check) => check.name === name);

test("item 4: a trash on another file system is found; images may lie on one of their own", () => {
  expect(kvm("one-file-system", {})?.ok).toBe(true);
  const folders = seen({ ...FOLDERS, trash: folder("trash", 8) });
  expect(kvm("one-file-system", { folders })).toMatchObject({
    ok: false,
    found: "on another than /srv/berth/disks: /srv/berth/trash",
  });
});

test("item 4: inodes that run out are found, and a file system that counts none is well", () => {
  const space = (freeInodes: number, inodes: number) =>
    kvm("free-inodes", { space: seen({ freeMib: 9999, freeInodes, inodes }) })?.ok;
  expect([space(200, 10_000), space(199, 10_000), space(0, 0)]).toEqual([true, false, true]);
});

test("item 4: emulation is well where it is allowed, and says what it is for", () => {
  const cpu = (emulationAllowed: boolean) =>
    kvm("cpu-flags", { emulationAllowed, hasCpuFlags: seen(false) });
  expect(cpu(false)?.ok).toBe(false);
  expect(cpu(true)).toMatchObject({ ok: true, found: expect.stringContaining("for tests only") });
});

test("item 4: a host whose network is QEMU's own needs no bridge, filter or sch_sfq", () => {
  const network = { kind: "user" } as const;
  const no = seen(false);
  const checks = judgeKvm({ ...KVM, network, hasSfq: no, hasSpoofFilter: no });
  const well = checks.filter(({ ok }) => ok).map(({ name }) => name);
  expect(well).toEqual(expect.arrayContaining(["bandwidth", "spoof-filter"]));
});

const NOW = new Date("2026-11-29T12:00:00Z");
const AGENT: AgentFacts = {
  now: NOW,
  agentVersion: "1.2.3",
  nodeVersion: "24.0.0",
  config: { path: "/etc/berth/agent.yaml", values: {}, faults: [], isThere: false },
  missing: [],
  stateFolder: nobody,
  corrupt: nobody,
  agents: nobody,
  status: nobody,
  spool: nobody,
  hostId: nobody,
  addresses: nobody,
  certificate: nobody,
  plane: nobody,
  serving: nobody,
  accepted: nobody,
};
const agent = (name: string, over: Partial<AgentFacts>) =>
  judgeAgent({ ...AGENT, ...over }).find((check) => check.name === name);

test("item 4: a certificate that ends soon is found before it does", () => {
  const ends = (days: number) => {
    const validTo = new Date(NOW.getTime() + days * 86_400_000);
    return agent("tls", { certificate: seen({ validTo }) })?.ok;
  };
  expect([ends(14), ends(13)]).toEqual([true, false]);
});

test("item 4: five seconds are as good as a clock gets; an answer without a Date is no proof of one", () => {
  const off = (seconds: number | null) => {
    const time = seconds === null ? null : new Date(NOW.getTime() + seconds * 1000);
    return agent("clock", { plane: seen({ status: 401, time, askedAt: NOW }) });
  };
  expect([off(5)?.ok, off(-5)?.ok, off(6)?.ok, off(-6)?.ok, off(null)?.ok]).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
  expect(off(6)?.found).toBe("6 s behind the control plane's");
});

test("item 4: a control plane whose gateway is broken is told, and one that refuses a stranger is well", () => {
  const answers = (status: number) =>
    agent("control-plane", { plane: seen({ status, time: NOW, askedAt: NOW }) })?.ok;
  expect([answers(401), answers(404), answers(502)]).toEqual([true, false, false]);
});

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readBootEpoch, readBootEpochs } from "./boot-epoch.ts";
import { domainName } from "./tag.ts";

const [VM, OTHER] = [
  "0190f000-0000-7000-8000-000000000001",
  "0190f000-0000-7000-8000-000000000002",
] as const;

let dir: string;
let qemu: ChildProcess;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "berth-epoch-"));
  // Runs until its input ends, under the VM's id.
  qemu = spawn("sh", ["-c", "read line", VM], { stdio: ["pipe", "ignore", "ignore"] });
});
afterEach(async () => {
  qemu.kill();
  await rm(dir, { recursive: true });
});
const says = (vmId: string, pid: string) =>
  writeFile(path.join(dir, `${domainName(vmId)}.pid`), pid);

test("names the host's boot, the process and when it started", async () => {
  await says(VM, `${qemu.pid}\n`);
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
  const started = (await readFile(`/proc/${qemu.pid}/stat`, "utf8")).split(" ")[21];
  expect(await readBootEpoch(dir, VM)).toBe(`${boot.slice(0, 8)}-${qemu.pid}-${started}`);
});

test("is none where the number is another VM's process by now, or nobody's", async () => {
  await says(OTHER, String(qemu.pid));
  expect(await readBootEpoch(dir, OTHER)).toBeNull();
  expect(await readBootEpoch(dir, VM)).toBeNull();
  await says(VM, "4194305");
  expect(await readBootEpoch(dir, VM)).toBeNull();
});

test("is none where the file holds anything but one number", async () => {
  for (const text of [
    `${qemu.pid}/../${qemu.pid}`,
    `self/../${qemu.pid}`,
    "",
    "-1",
    "12345678901",
  ]) {
    await says(VM, text);
    expect(await readBootEpoch(dir, VM)).toBeNull();
  }
});

test("of many VMs, each has its own, and one that is off has none", async () => {
  await says(VM, `${qemu.pid}\n`);
  const off = Array.from({ length: 30 }, (_, n) => `0190f000-0000-7000-9000-0000000000${n + 10}`);
  const epochs = await readBootEpochs(dir, [...off, VM]);
  expect([...epochs.keys()]).toEqual([...off, VM]);
  expect(epochs.get(VM)).toBe(await readBootEpoch(dir, VM));
  expect(epochs.get(VM)).not.toBeNull();
  expect(off.map((vmId) => epochs.get(vmId))).toEqual(off.map(() => null));
});

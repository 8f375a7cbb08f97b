import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { filesOf, type VmFiles } from "./files.ts";
import { createEvidenceReader, readyHostname } from "./guest-evidence.ts";
import type { Libvirt } from "./libvirt.ts";

const ID = "0190f000-0000-7000-8000-000000000001";
const FLOOD = "x".repeat(1024 * 1024);

describe("a console's text", () => {
  test.each([
    ["READY web-1.example.com 4.31\r\n", "web-1.example.com"],
    ["boot\r\n\r\nDebian GNU/Linux 12 web-1 ttyS0\r\n\r\nweb-1 login: ", "web-1"],
    ["\u001b[6n\u001b[0;32mREADY old 1\n\u001b[1mREADY new 2\n", "new"],
  ])("says that the guest is up", (text, hostname) => {
    expect(readyHostname(Buffer.from(text))).toBe(hostname);
  });

  test("4b B7: is looked through a few lines deep, whatever the guest floods it with", () => {
    const flood = "READY !\n".repeat(31);
    expect(readyHostname(Buffer.from(`web-1 login: \n${flood}`))).toBe("web-1");
    expect(readyHostname(Buffer.from(`web-1 login: \nREADY !\n${flood}`))).toBeNull();
    expect(readyHostname(Buffer.from(`${"x".repeat(2000)} READY \nweb-2 login:`))).toBe("web-2");
    expect(readyHostname(Buffer.from(`web-1 login: ${"x".repeat(2000)}`))).toBeNull();
  });

  test.each(["", "READY", "READY web-1", "not READY web-1 1\n", "READY $(id) 1\n", "a b login: "])(
    "says nothing",
    (text) => {
      expect(readyHostname(Buffer.from(text))).toBeNull();
    },
  );
});

describe("evidence", () => {
  let dir: string;
  let files: VmFiles;
  let asked: number;
  let answer: string | Error;
  let now: number;
  const libvirt: Libvirt = {
    run: async () => {
      asked++;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    read: async () => [],
    readThen: async () => [],
  };
  const clock = { now: () => new Date(now), sleep: async () => undefined };
  const vm = (bootEpoch = "boot-1", agentConnected = false) => ({
    vmId: ID,
    bootEpoch,
    files,
    agentConnected,
  });

  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), "berth-evidence-"));
    files = filesOf(
      { imageDir: dir, diskDir: dir, seedDir: dir, consoleDir: dir, trashDir: dir },
      { vmId: ID, ownerEpoch: 1 },
    );
    asked = 0;
    answer = new Error("no agent");
    now = Date.UTC(2026, 10, 23);
  });
  afterEach(() => rm(dir, { recursive: true }));

  test("is found when it is written, however the looks cut the text", async () => {
    const evidence = createEvidenceReader({ libvirt, clock });
    expect(await evidence.read(vm())).toBeNull();
    for (const piece of [`${FLOOD}\nREA`, "DY web", "-1 4"]) await appendFile(files.console, piece);
    expect(await evidence.read(vm())).toEqual({ source: "console", hostname: "web-1" });
  });

  test("4b B7: is found in the last 64 KiB of what a guest wrote since the last look, and no further back", async () => {
    const evidence = createEvidenceReader({ libvirt, clock });
    await writeFile(files.console, `READY web-1 4\n${"\n".repeat(65 * 1024)}`);
    expect(await evidence.read(vm())).toBeNull();
    await appendFile(files.console, `READY web-2 4\n${"\n".repeat(60 * 1024)}`);
    expect(await evidence.read(vm())).toMatchObject({ hostname: "web-2" });
  });

  test("is kept when a chatty guest has pushed it out of sight", async () => {
    const evidence = createEvidenceReader({ libvirt, clock });
    await writeFile(files.console, "READY web-1 4\n");
    await evidence.read(vm());
    await appendFile(files.console, FLOOD);
    expect(await evidence.read(vm())).toMatchObject({ hostname: "web-1" });
  });

  test("of an earlier boot counts no more, for the agent's next life neither", async () => {
    const evidence = createEvidenceReader({ libvirt, clock });
    await writeFile(files.console, "READY web-1 4\n");
    expect(await evidence.read(vm())).not.toBeNull();
    await evidence.beginBoot(vm());
    expect(await evidence.read(vm())).toBeNull();
    const restarted = createEvidenceReader({ libvirt, clock });
    expect(await restarted.read(vm())).toBeNull();
    await appendFile(files.console, "READY web-2 4\n");
    expect(await restarted.read(vm())).toMatchObject({ hostname: "web-2" });
  });

  test("of a new process is looked for in all of its console", async () => {
    const evidence = createEvidenceReader({ libvirt, clock });
    await writeFile(files.console, `${"x".repeat(100)}\n`);
    await evidence.beginBoot(vm("boot-1"));
    await writeFile(files.console, "READY web-1 4\n");
    expect(await evidence.read(vm("boot-2"))).toMatchObject({ hostname: "web-1" });
  });

  test("comes from the guest agent when the console is silent", async () => {
    const evidence = createEvidenceReader({ libvirt, clock });
    answer = '{"return":{"host-name":"web-1"}}';
    expect(await evidence.read(vm("boot-1", false))).toBeNull();
    expect(await evidence.read(vm("boot-1", true))).toEqual({
      source: "guest_agent",
      hostname: "web-1",
    });
  });

  test.each([new Error("not responding"), "nonsense", '{"return":{"host-name":""}}'])(
    "is not asked of a bad agent at every look",
    async (bad) => {
      const evidence = createEvidenceReader({ libvirt, clock });
      answer = bad;
      for (let look = 0; look < 5; look++) expect(await evidence.read(vm("b", true))).toBeNull();
      expect(asked).toBe(1);
      now += 60_000;
      await evidence.read(vm("b", true));
      expect(asked).toBe(2);
    },
  );

  test("is not asked of an agent whose guest is only going down", async () => {
    const evidence = createEvidenceReader({ libvirt, clock });
    answer = '{"return":{"host-name":"web-1"}}';
    await evidence.beginBoot(vm());
    expect(await evidence.read(vm("boot-1", true))).toBeNull();
    now += 60_000;
    expect(await evidence.read(vm("boot-1", true))).not.toBeNull();
  });
});

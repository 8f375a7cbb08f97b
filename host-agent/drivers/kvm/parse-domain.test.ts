import { describe, expect, test } from "vitest";
import { isActive, parseDomain, parseDomstats, powerOf } from "./parse-domain.ts";

const ID = "0190f000-0000-7000-8000-000000000001";
const TAG = `<berth:vm xmlns:berth="urn:berth:vm:1" id="${ID}" ownerEpoch="3" diskGib="10"/>`;
/** As libvirt 9.0 prints it. */
const domain = (metadata: string, uuid = ID) => `<domain type='qemu' id='18'>
  <name>berth-${ID}</name>
  <uuid>${uuid}</uuid>
  <title>a &lt;b&gt;</title>
  <metadata>
    <app:other xmlns:app="urn:other">kept</app:other>
    ${metadata}
  </metadata>
  <memory unit='KiB'>131072</memory>
  <currentMemory unit='KiB'>131072</currentMemory>
  <vcpu placement='static'>2</vcpu>
  <devices>
    <interface type='network'><mac address='52:54:00:00:00:01'/></interface>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
    </channel>
  </devices>
</domain>`;

describe("a domain's definition", () => {
  test("with Berth's tag is read", () => {
    expect(parseDomain(domain(TAG))).toEqual({
      uuid: ID,
      name: `berth-${ID}`,
      own: {
        installation: null,
        tag: { vmId: ID, ownerEpoch: 3 },
        vcpus: 2,
        mostVcpus: 2,
        memoryMib: 128,
        limits: { bandwidthMbit: null, diskIops: null },
        diskGib: 10,
        nics: 1,
        agentConnected: true,
        systemDevice: "vda",
        systemFile: null,
        disks: 0,
        released: false,
        seedDevice: "hdc",
      },
    });
  });

  test("that was released says so, whatever its mark says", () => {
    const released = (mark: string) =>
      parseDomain(domain(TAG.replace("/>", `${mark}/>`))).own?.released;
    expect(released("")).toBe(false);
    for (const mark of ["yes", "", "no", "2"]) expect(released(` released="${mark}"`)).toBe(true);
  });

  // 6a 2
  test("says what of a size the VM has, and what it could have without a restart", () => {
    const bandwidth = (inbound: number, outbound: number) =>
      `<bandwidth><inbound average='${inbound}'/><outbound average='${outbound}' burst='9'/></bandwidth>`;
    const seen = (cards: readonly string[], iotune = "", vcpu = "<vcpu>2</vcpu>") => {
      const disks = `<disk type='file' device='cdrom'><target dev='hdc'/></disk>
        <disk type='file' device='disk'><target dev='vda'/>${iotune}</disk>`;
      const xml = domain(TAG)
        .replace(
          /<interface.*<\/interface>/,
          cards.map((each) => `<interface>${each}</interface>`).join(""),
        )
        .replace("<devices>", `<devices>${disks}`)
        .replace(/<vcpu.*<\/vcpu>/, vcpu);
      const { vcpus, mostVcpus, limits } = parseDomain(xml).own ?? {};
      return [vcpus, mostVcpus, limits?.bandwidthMbit, limits?.diskIops];
    };
    expect(seen([bandwidth(25_000, 25_000)])).toEqual([2, 2, 200, null]);
    expect(seen([bandwidth(125, 125), bandwidth(125, 125)])).toEqual([2, 2, 1, null]);
    // 0: limited, and not as anybody ordered it.
    const amiss = [
      [bandwidth(125, 250)],
      [bandwidth(0, 125)],
      ["<bandwidth><inbound average='125'/></bandwidth>"],
    ];
    for (const cards of [...amiss, [bandwidth(125, 125), "<mac/>"]])
      expect(seen(cards)).toEqual([2, 2, 0, null]);
    expect(seen([bandwidth(0, 0)])).toEqual([2, 2, null, null]);
    expect(seen(["<bandwidth/>"])).toEqual([2, 2, null, null]);
    const tune = (fields: string) => seen([], `<iotune>${fields}</iotune>`);
    expect(tune("<total_iops_sec>900</total_iops_sec>")).toEqual([2, 2, null, 900]);
    expect(tune("<total_bytes_sec>7</total_bytes_sec>")).toEqual([2, 2, null, null]);
    expect(tune("<read_iops_sec>900</read_iops_sec>")).toEqual([2, 2, null, 0]);
    expect(tune("<write_iops_sec>900</write_iops_sec>")).toEqual([2, 2, null, 0]);
    const grown = "<vcpu placement='static' current='3'>8</vcpu>";
    expect(seen([], "", grown)).toEqual([3, 8, null, null]);
  });

  test.each([
    ["no tag", ""],
    ["the tag of another", TAG.replace(/id="[^"]*"/, `id="${ID.replace("1", "2")}"`)],
    ["another namespace under our prefix", TAG.replace("urn:berth:vm:1", "urn:else")],
    ["a tag without its epoch", TAG.replace(/ownerEpoch="3"/, "")],
    ["an epoch that is no number", TAG.replace(/ownerEpoch="3"/, 'ownerEpoch="x"')],
  ])("with %s is foreign", (_, metadata) => {
    expect(parseDomain(domain(metadata)).own).toBeNull();
  });

  test("that is foreign may lack anything else", () => {
    expect(parseDomain(`<domain><name>x</name><uuid>${ID}</uuid></domain>`).own).toBeNull();
  });

  test("that is cut off is an error, not a missing VM", () => {
    expect(() => parseDomain("<domain><name>x")).toThrow(/uuid/);
  });
});

describe("libvirt's statistics", () => {
  test("are read by domain, whatever its name is", () => {
    const text =
      "Domain: 'it's = mine'\n  state.state=1\n  state.reason=1\n\nDomain: 'b'\n  cpu.time=7\n";
    expect(parseDomstats(text)).toEqual(
      new Map([
        [
          "it's = mine",
          new Map([
            ["state.state", "1"],
            ["state.reason", "1"],
          ]),
        ],
        ["b", new Map([["cpu.time", "7"]])],
      ]),
    );
  });

  test.each([
    [1, 1, "running"],
    [3, 1, "paused"],
    [3, 5, "paused"], // an I/O error on the host
    [3, 10, "failed"], // the guest crashed
    [3, 11, "starting"],
    [4, 0, "stopping"],
    [5, 1, "off"],
    [5, 3, "off"], // QEMU died
    [6, 0, "failed"],
    [99, 0, "failed"],
  ])("state %i for reason %i is %s", (state, reason, power) => {
    const fields = new Map([
      ["state.state", String(state)],
      ["state.reason", String(reason)],
    ]);
    expect(powerOf(fields)).toBe(power);
  });

  test.each([
    ["off", false],
    ["running", true],
    ["paused", true],
    ["starting", true],
    ["stopping", true],
    ["failed", true],
  ] as const)("a process stands behind %s: %s", (power, is) => {
    expect(isActive(power)).toBe(is);
  });
});

import { describe, expect, test } from "vitest";
import { liveXml } from "./live-xml.ts";

const ID = "0190f000-0000-7000-8000-000000000001";
const MOVED = { vmId: ID, ownerEpoch: 3 };
const tag = (epoch: number, more = "") =>
  `<metadata><berth:vm xmlns:berth="urn:berth:vm:1" id="${ID}" ownerEpoch="${epoch}" diskGib="1"${more}/></metadata>`;

/** As `dumpxml --migratable` of libvirt 9.0, in short. */
const RUNNING = `<domain type='qemu'>
  <name>berth-${ID}</name>
  <uuid>${ID}</uuid>
  <title>a &lt;b&gt; &amp;amp; c</title>
  ${tag(2)}
  <vcpu placement='static' current='1'>8</vcpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='/source/disks/a.qcow2' index='2'/>
      <backingStore type='file' index='3'>
        <format type='qcow2'/>
        <source file='/source/images/tiny.qcow2'/>
        <backingStore/>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <source file='/source/seeds/a.iso' startupPolicy='optional'/>
      <target dev='hdc' bus='ide'/>
      <readonly/>
    </disk>
    <interface type='bridge'>
      <mac address='52:54:00:00:02:01'/>
      <source bridge='br7'/>
      <target dev='vnet3'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'>
      <source path='/dev/pts/4'/>
      <log file='/source/consoles/a.log' append='off'/>
      <target type='isa-serial' port='0'/>
    </serial>
    <console type='pty' tty='/dev/pts/4'>
      <source path='/dev/pts/4'/>
      <log file='/source/consoles/a.log' append='off'/>
      <target type='serial' port='0'/>
    </console>
  </devices>
  <seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+64055</label></seclabel>
</domain>`;

/** As the destination's driver makes it, in short. */
const target = (over: { metadata?: string; mac?: string; uuid?: string; disks?: string } = {}) =>
  `<domain type="qemu"><name>berth-${ID}</name><uuid>${over.uuid ?? ID}</uuid>${over.metadata ?? tag(3, ' installation="0190f000-0000-7000-8000-0000000000aa"')}` +
  `<devices>${over.disks ?? ""}<disk type="file" device="disk"><source file="/there/disks/&amp;.qcow2"/><target dev="vda"/></disk>` +
  `<disk type="file" device="cdrom"><source file="/there/seeds/a.iso"/></disk>` +
  `<interface type="network"><source network="vms"/><mac address="${over.mac ?? "52:54:00:00:02:01"}"/></interface>` +
  `<serial type="pty"><log file="/there/consoles/a.log" append="off"/></serial></devices></domain>`;

const unsupported: unknown = expect.objectContaining({ code: "unsupported" });

describe("the definition that a guest goes on with", () => {
  const xml = liveXml(RUNNING, target(), MOVED);

  test("has the destination's tag, disk, log and network in the source's hardware", () => {
    expect(xml).toContain(
      `ownerEpoch="3" diskGib="1" installation="0190f000-0000-7000-8000-0000000000aa"`,
    );
    expect(xml).toContain(`<source file="/there/disks/&amp;.qcow2"/>`);
    expect(xml.match(/\/there\/consoles\/a\.log/g)).toHaveLength(2);
    expect(xml).toMatch(/<interface type="network"><source network="vms"\/>/);
    expect(xml).toContain(`<vcpu placement="static" current="1">8</vcpu>`);
    expect(xml).toContain(`<target dev="vda" bus="virtio"/>`);
    expect(xml).toContain(`<readonly/>`);
  });

  test("names nothing of the source's, nor the seed, which holds secrets", () => {
    expect(xml).not.toMatch(/source\/|pts|br7|vnet3|64055|ownerEpoch="2"|seeds|index/);
  });

  test("leaves what is written as it is written", () => {
    expect(xml).toContain(`<title>a &lt;b&gt; &amp;amp; c</title>`);
  });

  test.each([
    ["another VM's", { uuid: "0190f000-0000-7000-8000-000000000002" }],
    ["another epoch's", { metadata: tag(4) }],
    ["the source's own", { metadata: tag(2) }],
    ["nobody's", { metadata: "" }],
    ["one that was released", { metadata: tag(3, ' released="yes"') }],
    ["one that bears two tags", { metadata: tag(3) + tag(3) }],
    ["one without the VM's NIC", { mac: "52:54:00:00:02:99" }],
    ["one with two disks", { disks: `<disk type="file"><source file="/etc/shadow"/></disk>` }],
  ])("is not made of a target that is %s", (_what, over) => {
    expect(() => liveXml(RUNNING, target(over), MOVED)).toThrow(unsupported);
  });

  test.each(["", "<domain/>", "<a><b>", "text", "<domain><devices/></domain>"])(
    "is not made of what is no definition: %j",
    (text) => {
      expect(() => liveXml(RUNNING, text, MOVED)).toThrow(unsupported);
    },
  );
});

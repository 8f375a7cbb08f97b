import { describe, expect, test } from "vitest";
import { checkIncoming, domainInCookie } from "./incoming-xml.ts";

const VM = "0692aef7-1db3-48d5-8018-cdd41a9c568d";
const DISK = `/disks/${VM}.e2.qcow2`;
const LOG = `/consoles/${VM}.e2.log`;

/** As this host will define it. */
const OWN =
  `<domain type="qemu"><name>berth-${VM}</name><uuid>${VM}</uuid><title>a &amp; b</title>` +
  `<metadata><berth:vm xmlns:berth="urn:berth:vm:1" id="${VM}" ownerEpoch="2" diskGib="1"/></metadata>` +
  `<memory unit="MiB">128</memory><vcpu current="1">8</vcpu><os><type arch="x86_64" machine="pc">hvm</type><boot dev="hd"/></os>` +
  `<features><acpi/></features><clock offset="utc"/><devices><disk type="file" device="disk">` +
  `<driver name="qemu" type="qcow2" discard="unmap"/><source file="${DISK}"/><target dev="vda" bus="virtio"/></disk>` +
  `<disk type="file" device="cdrom"><driver name="qemu" type="raw"/><source file="/seeds/${VM}.iso" startupPolicy="optional"/>` +
  `<target dev="hdc" bus="ide"/><readonly/></disk>` +
  `<interface type="bridge"><source bridge="br0"/><mac address="52:54:00:00:02:01"/><model type="virtio"/>` +
  `<filterref filter="clean-traffic"><parameter name="IP" value="198.18.0.5"/></filterref></interface>` +
  `<serial type="pty"><log file="${LOG}" append="off"/></serial><channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>` +
  `<graphics type="vnc"><listen type="socket"/></graphics><video><model type="vga"/></video>` +
  `<rng model="virtio"><backend model="random">/dev/urandom</backend></rng></devices></domain>`;

/** As the source's libvirt 9 writes it. */
const INCOMING = `<domain type='qemu'>
  <name>berth-${VM}</name>
  <uuid>${VM}</uuid>
  <title>a &amp; b</title>
  <metadata>
    <berth:vm xmlns:berth="urn:berth:vm:1" id="${VM}" ownerEpoch="2" diskGib="1"/>
  </metadata>
  <memory unit='KiB'>131072</memory>
  <currentMemory unit='KiB'>131072</currentMemory>
  <vcpu placement='static' current='1'>8</vcpu>
  <resource>
    <partition>/machine</partition>
  </resource>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
    <boot dev='hd'/>
  </os>
  <features>
    <acpi/>
  </features>
  <cpu mode='custom' match='exact' check='none'>
    <model fallback='forbid'>qemu64</model>
  </cpu>
  <clock offset='utc'/>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' discard='unmap'/>
      <source file='${DISK}'/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x05' function='0x0'/>
    </disk>
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <target dev='hdc' bus='ide'/>
      <readonly/>
    </disk>
    <controller type='ide' index='0'/>
    <interface type='bridge'>
      <mac address='52:54:00:00:02:01'/>
      <source bridge='br0'/>
      <model type='virtio'/>
      <filterref filter='clean-traffic'>
        <parameter name='IP' value='198.18.0.5'/>
      </filterref>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x03' function='0x0'/>
    </interface>
    <serial type='pty'>
      <log file='${LOG}' append='off'/>
      <target type='isa-serial' port='0'><model name='isa-serial'/></target>
    </serial>
    <console type='pty'>
      <log file='${LOG}' append='off'/>
      <target type='serial' port='0'/>
    </console>
    <channel type='unix'>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <input type='mouse' bus='ps2'/>
    <graphics type='vnc'>
      <listen type='socket'/>
    </graphics>
    <video>
      <model type='vga' vram='16384' heads='1' primary='yes'/>
    </video>
    <memballoon model='virtio'/>
    <rng model='virtio'>
      <backend model='random'>/dev/urandom</backend>
    </rng>
  </devices>
</domain>
`;

test("what libvirt makes of this host's own definition is taken", () => {
  expect(() => checkIncoming(INCOMING, OWN)).not.toThrow();
});

describe("a definition is refused that names", () => {
  test.each([
    ["another file as its disk", DISK, "/etc/shadow"],
    ["a disk by a path that is none", DISK, "../etc/shadow"],
    ["a disk in characters that are written as others", DISK, "&#47;etc/shadow"],
    ["a disk in another format", "type='qcow2'", "type='raw'"],
    [
      "a disk of another kind",
      "<disk type='file' device='disk'>",
      "<disk type='network' device='disk'>",
    ],
    ["a host's disk", `<source file='${DISK}'/>`, "<source dev='/dev/sda'/>"],
    [
      "something under its disk",
      "<target dev='vda' bus='virtio'/>",
      `<target dev='vda' bus='virtio'/><backingStore type='file'><source file='${DISK}'/></backingStore>`,
    ],
    [
      "a second disk",
      "<controller type='ide' index='0'/>",
      `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${DISK}'/><target dev='vdb'/></disk>`,
    ],
    [
      "a device of the host's",
      "<memballoon model='virtio'/>",
      "<hostdev mode='subsystem' type='pci'/>",
    ],
    [
      "a folder of the host's",
      "<memballoon model='virtio'/>",
      "<filesystem type='mount'><source dir='x'/></filesystem>",
    ],
    ["another bridge", "bridge='br0'", "bridge='br1'"],
    ["another kind of network", "<interface type='bridge'>", "<interface type='direct'>"],
    ["no filter", "<filterref filter='clean-traffic'>", "<filterref filter='none'>"],
    ["another address in its filter", "value='198.18.0.5'", "value='198.18.0.6'"],
    ["a program for its NIC", "<model type='virtio'/>", "<model type='virtio'/><script path='x'/>"],
    ["another NIC", "52:54:00:00:02:01", "52:54:00:00:02:02"],
    ["a file as its log", `file='${LOG}'`, "file='x.log'"],
    ["a console of another kind", "<console type='pty'>", "<console type='tcp'>"],
    ["a channel of another kind", "<channel type='unix'>", "<channel type='tcp'>"],
    [
      "a port that shows its picture",
      "<listen type='socket'/>",
      "<listen type='address' address='0.0.0.0'/>",
    ],
    ["no password for its picture", "<graphics type='vnc'>", "<graphics type='vnc' port='5901'>"],
    ["a source of chance", "/dev/urandom", "/dev/sda"],
    ["another emulator", "/usr/bin/qemu-system-x86_64", "/tmp/x"],
    [
      "an emulator by a way around",
      "/usr/bin/qemu-system-x86_64",
      "/usr/share/qemu/../../../tmp/x.bin",
    ],
    [
      "a kernel of the host's",
      "<boot dev='hd'/>",
      "<boot dev='hd'/><kernel>/boot/vmlinuz</kernel>",
    ],
    ["a firmware of somebody's", "<boot dev='hd'/>", "<loader>/tmp/x.fd</loader>"],
    ["words for QEMU", "<clock offset='utc'/>", "<clock offset='utc'/><qemu:commandline/>"],
    ["another label", "<clock offset='utc'/>", "<clock offset='utc'/><seclabel type='none'/>"],
    ["another epoch", 'ownerEpoch="2"', 'ownerEpoch="3"'],
    ["a tag beside its own", "</metadata>", "<other/></metadata>"],
    ["another VM", `<uuid>${VM}</uuid>`, "<uuid>9692aef7-1db3-48d5-8018-cdd41a9c568d</uuid>"],
    ["another hypervisor", "<domain type='qemu'>", "<domain type='kvm'>"],
    [
      "something in a document type",
      "<domain type",
      "<!DOCTYPE x [<!ENTITY y SYSTEM '/etc/shadow'>]><domain type",
    ],
    ["something in a comment", "<clock offset='utc'/>", "<!-- <clock offset='utc'/> -->"],
  ])("%s", (_, what, instead) => {
    expect(INCOMING).toContain(what);
    expect(() => checkIncoming(INCOMING.replaceAll(what, instead), OWN)).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    );
  });
});

describe("the definition in a cookie", () => {
  test("is found, and is none where it brings none", () => {
    expect(domainInCookie("")).toBeNull();
    expect(domainInCookie("<qemu-migration><name>x</name></qemu-migration>\0")).toBeNull();
    const found = domainInCookie(`<qemu-migration>${INCOMING}</qemu-migration>\0`);
    expect(() => checkIncoming(found ?? "", OWN)).not.toThrow();
  });

  test.each([
    ["two of them", `<qemu-migration>${INCOMING}${INCOMING}</qemu-migration>`],
    ["another document", INCOMING],
    ["two documents", `<qemu-migration/><qemu-migration>${INCOMING}</qemu-migration>`],
    ["one in a comment", `<qemu-migration><!-- --></qemu-migration>`],
  ])("is refused: %s", (_, cookie) => {
    expect(() => domainInCookie(cookie)).toThrow(expect.objectContaining({ code: "unsupported" }));
  });
});

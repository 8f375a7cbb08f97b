import { judge, type Check, type Verdict } from "./check.ts";
import { judgeFiles } from "./judge-kvm-files.ts";
import type { KvmFacts } from "./kvm-facts.ts";

/** The oldest that Berth was tried on (Debian 12). */
const OLDEST_LIBVIRT = [9, 0] as const;

/** Everything of a KVM host. Names are stable: scripts go by them. */
export function judgeKvm(facts: KvmFacts): Check[] {
  return [...judgeHypervisor(facts), ...judgeNetwork(facts), ...judgeFiles(facts)];
}

function judgeHypervisor(facts: KvmFacts): Check[] {
  const { emulationAllowed } = facts;
  const emulates = (wrong: string, fix: string): Verdict =>
    emulationAllowed
      ? { fine: `${wrong}; emulation is allowed, which is for tests only` }
      : { wrong, fix };
  return [
    judge("programs", "the driver works through them", facts.missingPrograms, (missing) =>
      missing.length === 0
        ? { fine: "all are installed" }
        : {
            wrong: `missing: ${missing.map(({ program }) => program).join(", ")}`,
            fix: `apt-get install ${[...new Set(missing.map((one) => one.package))].join(" ")}`,
          },
    ),
    judge(
      "cpu-flags",
      "without VT-x or AMD-V guests are emulated, and sold to nobody",
      facts.hasCpuFlags,
      (has) =>
        has
          ? { fine: "vmx or svm" }
          : emulates(
              "the CPU shows neither vmx nor svm",
              "turn virtualisation on in the firmware's setup; in a VM, turn nested virtualisation on",
            ),
    ),
    judge("kvm-device", "QEMU reaches the hardware through it", facts.kvmDevice, (device) => {
      if (device === null)
        return emulates("/dev/kvm is not there", "modprobe kvm_intel or kvm_amd, and see dmesg");
      return (device.mode & 0o060) === 0o060
        ? { fine: "its group may use it" }
        : {
            wrong: "QEMU's user may not use /dev/kvm",
            fix: "chgrp kvm /dev/kvm && chmod 660 /dev/kvm (Debian's udev does it at boot)",
          };
    }),
    judge(
      "accelerator",
      "what libvirt will not run on hardware is emulated",
      facts.accelerator,
      (is) =>
        is === "hardware"
          ? { fine: "hardware" }
          : emulates("libvirt offers no hardware", "virt-host-validate qemu says what is missing"),
    ),
    judge("libvirt", "nothing happens to any VM without it", facts.libvirt, (version) => ({
      fine: version.trim().replaceAll(/\s*\n\s*/g, "; "),
    })),
    judge("libvirt-version", "older ones were not tried", facts.libvirt, (text) => {
      const [, version = "unknown", major, minor] =
        /Using library: libvirt ((\d+)\.(\d+)[.\d]*)/.exec(text) ?? [];
      const [leastMajor, leastMinor] = OLDEST_LIBVIRT;
      const isOld =
        Number(major) < leastMajor || (Number(major) === leastMajor && Number(minor) < leastMinor);
      return isOld || major === undefined
        ? {
            wrong: version,
            fix: `upgrade to ${OLDEST_LIBVIRT.join(".")} or newer (Debian 12 has it)`,
          }
        : { fine: version };
    }),
    judge(
      "libvirt-sockets",
      "the driver's programs talk to libvirt through it",
      facts.sockets,
      (has) =>
        has.libvirt
          ? { fine: "there" }
          : {
              wrong: "neither libvirt-sock nor virtqemud-sock is in /run/libvirt",
              fix: "systemctl enable --now libvirtd.socket (or virtqemud.socket)",
            },
    ),
    judge("virtlogd", "no VM starts without it: it writes the consoles", facts.sockets, (has) =>
      has.virtlogd
        ? { fine: "there" }
        : {
            wrong: "virtlogd-sock is not in /run/libvirt",
            fix: "systemctl enable --now virtlogd.socket",
          },
    ),
    judge(
      "confinement",
      "a guest that breaks out of QEMU meets nothing else",
      facts.confinement,
      ({ kernel, libvirt }) => {
        const unused = kernel.filter((one) => !libvirt.includes(one));
        if (kernel.length === 0) return { fine: "the kernel has neither AppArmor nor SELinux" };
        return unused.length === 0
          ? { fine: kernel.join(", ") }
          : {
              wrong: `the kernel has ${unused.join(", ")}, and libvirt does not use it`,
              fix: "take security_driver out of /etc/libvirt/qemu.conf, and restart libvirt",
            };
      },
    ),
  ];
}

function judgeNetwork(facts: KvmFacts): Check[] {
  const { network } = facts;
  const isPlugged = network.kind !== "user";
  const apart: Verdict = { fine: "QEMU's own network touches none of the host's" };
  return [
    judge("network", "VMs are plugged into it", facts.networkFault, (fault) => {
      if (!isPlugged) return apart;
      if (fault === null) return { fine: `${network.kind} ${network.name}` };
      return {
        wrong: fault,
        fix:
          network.kind === "bridge"
            ? `make the bridge (/etc/network/interfaces or netplan): ip link add ${network.name} type bridge`
            : `virsh net-start ${network.name} && virsh net-autostart ${network.name}`,
      };
    }),
    judge("vlans", "VMs of these VLANs are refused", facts.missingVlans, (missing) =>
      missing.length === 0
        ? { fine: "each has its bridge" }
        : { wrong: `no bridge for ${missing.join(", ")}`, fix: "make a bridge for each VLAN" },
    ),
    judge("bandwidth", "plans with a bandwidth limit are not placed here", facts.hasSfq, (has) => {
      if (!isPlugged) return apart;
      return has
        ? { fine: "the kernel has sch_sfq" }
        : {
            wrong: "the kernel has no sch_sfq",
            fix: "modprobe sch_sfq; cloud kernels leave it out: apt-get install linux-image-amd64",
          };
    }),
    judge("spoof-filter", "VMs could send from foreign addresses", facts.hasSpoofFilter, (has) => {
      if (!isPlugged) return apart;
      return has
        ? { fine: "clean-traffic" }
        : {
            wrong: "libvirt has no filter clean-traffic",
            fix: "apt-get install libvirt-daemon-config-nwfilter",
          };
    }),
    judge(
      "ebtables",
      "what keeps VMs from foreign addresses cannot be looked at",
      facts.ebtables,
      () => (isPlugged ? { fine: "lists its rules" } : apart),
    ),
  ];
}

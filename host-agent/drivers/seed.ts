import { isIPv4 } from "node:net";
import { stringify } from "yaml";
import type { DesiredVm, Nic } from "#core/contracts/agent/desired.ts";
import { firstUnplain, isPlainLine, isWholeText } from "#core/vms/seed-text.ts";
import { firstLabel } from "#core/vms/guest-name.ts";
import { DriverError } from "./driver.ts";

/** The four files of a NoCloud seed (cloud-init, cloudbase-init), by their names on the volume `cidata`. */
export type SeedFiles = Readonly<
  Record<"meta-data" | "user-data" | "vendor-data" | "network-config", string>
>;

/**
 * The first-boot seed of a VM, for every hypervisor.
 *
 * The customer's user-data goes in verbatim: it may be a script, cloud-config, a MIME archive or an include, and
 * wrapping or merging it would change what it means. What Berth itself must say therefore stands elsewhere: the
 * hostname and the SSH keys in meta-data, which cloud-init applies whatever the user-data is, and Berth's own
 * defaults in vendor-data, which every key of the user-data overrides.
 * https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
 *
 * Throws `unsupported` for text that the guest could not read back as it was given (NUL and other control
 * characters in a name or a key, NUL or lone surrogates in the user-data), instead of giving it a broken seed.
 */
export function seedFiles(vm: DesiredVm, rootPassword: string | null = null): SeedFiles {
  const hostname = plainLine("hostname", vm.hostname);
  return {
    "meta-data": yaml({
      // First boot runs again when this changes, and only then.
      "instance-id": vm.vmId,
      "local-hostname": firstLabel(hostname),
      "public-keys": vm.sshKeys.map((key) => plainLine("SSH key", key.trim())),
    }),
    "user-data": vm.userData === null ? "#cloud-config\n{}\n" : verbatim(vm.userData),
    // The ordered keys open root too: a VPS without them on root is reached by nobody but its console.
    "vendor-data": `#cloud-config\n${yaml({
      disable_root: false,
      // The label is the host's name and the whole its domain name, also on systems that would take the whole for both: a
      // name of Linux has 64 characters.
      ...(hostname.includes(".") && { fqdn: hostname, prefer_fqdn_over_hostname: false }),
      ...(vm.image.os === "linux" && { write_files: [TAKES_VCPUS] }),
      ssh_pwauth: rootPassword !== null,
      ...(rootPassword !== null && rootLogin(plainLine("password", rootPassword))),
    })}`,
    "network-config": yaml({
      version: 2,
      ethernets: Object.fromEntries(
        // Found by its MAC: the name is only what the kernel may call it, for renderers that write files by name.
        vm.nics.map((nic, n) => [`eth${n}`, ethernet(nic, n, vm.nameservers)]),
      ),
    }),
  };
}

/**
 * A vCPU that comes while a Linux guest runs is seen by its kernel, and left unused until somebody says otherwise: some systems
 * have this rule of udev's of themselves, and Debian and Ubuntu do not.
 */
const TAKES_VCPUS = {
  path: "/etc/udev/rules.d/80-berth-vcpus.rules",
  content: 'SUBSYSTEM=="cpu", ACTION=="add", TEST=="online", ATTR{online}=="0", ATTR{online}="1"\n',
};

/**
 * Root's password, and a door for it: most images' sshd takes root with a key only. In `bootcmd`, which user-data seldom has
 * (what it has replaces this), before sshd starts; the first setting that sshd reads counts.
 */
const rootLogin = (password: string) => ({
  chpasswd: { expire: false, users: [{ name: "root", password, type: "text" }] },
  bootcmd: [
    [
      "cloud-init-per",
      "instance",
      "berth-root-login",
      "sh",
      "-c",
      "mkdir -p /etc/ssh/sshd_config.d && echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/01-berth.conf",
    ],
  ],
});

/**
 * One NIC, found by its MAC, in network-config version 2, and never renamed: what the image calls it stays, also where the
 * customer's own files name it. The default route belongs to the first.
 */
function ethernet(nic: Nic, index: number, nameservers: readonly string[]) {
  const { address, prefix, gateway } = nic.ipv4;
  return {
    match: { macaddress: nic.mac },
    dhcp4: false,
    addresses: [`${address}/${prefix}`],
    ...(index === 0 && {
      routes: [
        {
          // Not "default", which older renderers of cloud-init do not know.
          to: "0.0.0.0/0",
          via: gateway,
          // A routed /32: the gateway is outside the address's own network.
          ...(!inSameNetwork(address, gateway, prefix) && { "on-link": true }),
        },
      ],
      ...(nameservers.length > 0 && { nameservers: { addresses: [...nameservers] } }),
    }),
  };
}

/** All strings quoted: readers of YAML 1.1 take a bare `no` for false and a bare MAC for a number in base 60. */
function yaml(value: unknown): string {
  return stringify(value, {
    defaultStringType: "QUOTE_DOUBLE",
    defaultKeyType: "PLAIN",
    lineWidth: 0,
  });
}

/** Text of one line that every format on its way to the guest keeps; throws `unsupported` for any other. */
export function plainLine(what: string, text: string): string {
  if (!isPlainLine(text))
    throw new DriverError("unsupported", `the ${what} holds ${firstUnplain(text)}`);
  return text;
}

/** User-data as it was given; throws `unsupported` for what no file of text holds. */
export function verbatim(text: string): string {
  if (!isWholeText(text))
    throw new DriverError("unsupported", "the user-data holds a NUL or half a character");
  return text;
}

/** Whether two addresses are equal in their first `prefix` bits. */
function inSameNetwork(a: string, b: string, prefix: number): boolean {
  const shift = BigInt(32 - prefix);
  return ipv4Bits(a) >> shift === ipv4Bits(b) >> shift;
}

function ipv4Bits(address: string): bigint {
  if (!isIPv4(address)) throw new DriverError("unsupported", `not an IPv4 address: ${address}`);
  return address.split(".").reduce((bits, part) => (bits << 8n) | BigInt(part), 0n);
}

import { create } from "xmlbuilder2";
import type { DesiredVm, Nic } from "#core/contracts/agent/desired.ts";
import { computerName } from "#core/vms/guest-name.ts";
import { DriverError } from "./driver.ts";
import { plainLine, verbatim } from "./seed.ts";

/**
 * The first-boot seed of a Windows VM, as paths and contents for one CD.
 *
 * - `Unattend.xml` at the root: Windows Setup looks for it on removable media when a generalised (sysprepped) image
 *   starts ("Implicit answer file search order", passes specialize and oobeSystem). It sets the computer's name, the
 *   addresses, the administrator's password and remote desktop, with nothing installed in the image.
 * - `openstack/…`: a config drive (volume `config-2`) for cloudbase-init where the image has it: SSH keys and the
 *   customer's user-data. It names no network and no password, so that each thing has one owner.
 *
 * Not yet tried on Windows.
 */
export function windowsSeedFiles(
  vm: DesiredVm,
  administratorPassword: string,
): Record<string, string> {
  return {
    "Unattend.xml": unattendXml(vm, administratorPassword),
    "openstack/latest/meta_data.json": `${JSON.stringify({
      uuid: vm.vmId,
      hostname: vm.hostname,
      name: vm.hostname,
      public_keys: Object.fromEntries(
        vm.sshKeys.map((key, n) => [`key${n}`, plainLine("SSH key", key.trim())]),
      ),
    })}\n`,
    ...(vm.userData !== null && { "openstack/latest/user_data": verbatim(vm.userData) }),
  };
}

/** Of the images that are made as the runbook says; a language that an image lacks falls back to the image's own. */
const LOCALE = "en-US";

type Xml = { [name: string]: string | Xml | Xml[] };

/** The answer file. Setting names and their order: Microsoft's Unattended Windows Setup Reference. */
export function unattendXml(vm: DesiredVm, administratorPassword: string): string {
  for (const text of [vm.hostname, administratorPassword, ...vm.nameservers])
    if (!/^[\x20-\x7e]+$/.test(text))
      throw new DriverError("unsupported", "an answer file takes printable ASCII only");
  const name = computerName(vm.hostname);
  if (name === null) throw new DriverError("unsupported", `no computer name in ${vm.hostname}`);
  const specialize = [
    component("Microsoft-Windows-Shell-Setup", {
      ComputerName: name,
      // As the clock of the machine is when it first boots, whatever the image was made with.
      TimeZone: "UTC",
    }),
    component("Microsoft-Windows-Deployment", {
      // The disk that was ordered is larger than the image: its last partition, Windows' own, takes what is behind it.
      ExtendOSPartition: { Extend: "true" },
    }),
    component("Microsoft-Windows-TCPIP", {
      Interfaces: { Interface: vm.nics.map((nic, n) => ipInterface(nic, n === 0)) },
    }),
    ...(vm.nameservers.length > 0 ? [dnsClient(vm)] : []),
    component("Microsoft-Windows-TerminalServices-LocalSessionManager", {
      fDenyTSConnections: "false",
    }),
    component("Microsoft-Windows-TerminalServices-RDP-WinStationExtensions", {
      // Network level authentication: no session, and no sign-in screen, before the password was right.
      UserAuthentication: "1",
    }),
    component("Networking-MPSSVC-Svc", {
      FirewallGroups: {
        FirewallGroup: [
          {
            "@wcm:action": "add",
            "@wcm:keyValue": "RemoteDesktop",
            Active: "true",
            // Remote Desktop, by its resource: the group's name is translated.
            Group: "@FirewallAPI.dll,-28752",
            Profile: "all",
          },
        ],
      },
    }),
  ];
  // Without all four, Setup stops at its first page and asks for them, at a console that nobody sees.
  const language = component("Microsoft-Windows-International-Core", {
    InputLocale: LOCALE,
    SystemLocale: LOCALE,
    UILanguage: LOCALE,
    UserLocale: LOCALE,
  });
  const oobe = component("Microsoft-Windows-Shell-Setup", {
    OOBE: {
      HideEULAPage: "true",
      HideOEMRegistrationScreen: "true",
      HideOnlineAccountScreens: "true",
      HideWirelessSetupInOOBE: "true",
      ProtectYourPC: "3",
    },
    UserAccounts: {
      AdministratorPassword: {
        // Not a secret: Windows' own way of hiding it from a glance. The seed is erased after the first boot.
        Value: Buffer.from(`${administratorPassword}AdministratorPassword`, "utf16le").toString(
          "base64",
        ),
        PlainText: "false",
      },
    },
  });
  return create({ version: "1.0", encoding: "utf-8" })
    .ele("urn:schemas-microsoft-com:unattend", "unattend")
    .att(
      "http://www.w3.org/2000/xmlns/",
      "xmlns:wcm",
      "http://schemas.microsoft.com/WMIConfig/2002/State",
    )
    .ele({
      settings: [
        { "@pass": "specialize", component: specialize },
        { "@pass": "oobeSystem", component: [language, oobe] },
      ],
    })
    .end({ prettyPrint: true });
}

function component(name: string, settings: Xml): Xml {
  return {
    "@name": name,
    "@processorArchitecture": "amd64",
    "@publicKeyToken": "31bf3856ad364e35",
    "@language": "neutral",
    "@versionScope": "nonSxS",
    ...settings,
  };
}

/** An interface is named by its MAC, as Windows writes it; the default route belongs to the first. */
function ipInterface({ mac, ipv4 }: Nic, first: boolean): Xml {
  return {
    "@wcm:action": "add",
    Identifier: adapterIdentifier(mac),
    Ipv4Settings: { DhcpEnabled: "false" },
    UnicastIpAddresses: {
      IpAddress: [
        { "@wcm:action": "add", "@wcm:keyValue": "1", "#": `${ipv4.address}/${ipv4.prefix}` },
      ],
    },
    ...(first && {
      Routes: {
        Route: [
          {
            "@wcm:action": "add",
            Identifier: "0",
            NextHopAddress: ipv4.gateway,
            Prefix: "0.0.0.0/0",
          },
        ],
      },
    }),
  };
}

function dnsClient(vm: DesiredVm): Xml {
  return component("Microsoft-Windows-DNS-Client", {
    Interfaces: {
      Interface: vm.nics.slice(0, 1).map((nic): Xml => ({
        "@wcm:action": "add",
        Identifier: adapterIdentifier(nic.mac),
        DNSServerSearchOrder: {
          IpAddress: vm.nameservers.map((address, n): Xml => ({
            "@wcm:action": "add",
            "@wcm:keyValue": String(n + 1),
            "#": address,
          })),
        },
      })),
    },
  });
}

const adapterIdentifier = (mac: string): string => mac.toUpperCase().replaceAll(":", "-");

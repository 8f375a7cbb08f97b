import path from "node:path";
import { XMLParser } from "fast-xml-parser";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { unattendXml, windowsSeedFiles } from "#host-agent/drivers/windows-first-boot.ts";
import { aDesiredVm } from "../drivers/builders.ts";

const golden = (name: string) => path.join(import.meta.dirname, "golden", name);
const vm = aDesiredVm({
  vmId: "00000000-0000-4000-8000-00000000000a",
  hostname: "web-1.example.com",
  nics: [
    {
      mac: "52:54:00:00:00:0a",
      ipv4: { address: "192.0.2.10", prefix: 24, gateway: "192.0.2.1" },
      vlan: null,
      bandwidthMbit: null,
    },
    {
      mac: "52:54:00:00:00:0b",
      ipv4: { address: "198.51.100.11", prefix: 28, gateway: "198.51.100.1" },
      vlan: 7,
      bandwidthMbit: 100,
    },
  ],
  nameservers: ["192.0.2.53", "198.51.100.53"],
  sshKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBerth ann@example.com"],
  userData: "#ps1_sysnative\nWrite-Output hello\n",
});

/*
 * The settings that Berth uses, with their types, from Microsoft's Unattended Windows Setup Reference (components
 * and their settings, learn.microsoft.com/windows-hardware/customize/desktop/unattend). Strict: what is not in the
 * reference under this name is refused, as Windows Setup refuses the whole file for it.
 */
const List = z.literal("add");
const Key = z.string().min(1);
const Bool = z.enum(["true", "false"]);
const MacId = z.string().regex(/^([0-9A-F]{2}-){5}[0-9A-F]{2}$/);
const Cidr = z.cidrv4();
const common = {
  "@processorArchitecture": z.literal("amd64"),
  "@publicKeyToken": z.literal("31bf3856ad364e35"),
  "@language": z.literal("neutral"),
  "@versionScope": z.literal("nonSxS"),
};
const part = <N extends string, S extends z.ZodRawShape>(name: N, settings: S) =>
  z.strictObject({ "@name": z.literal(name), ...common, ...settings });
const item = <T extends z.ZodType>(text: T) =>
  z.strictObject({ "@wcm:action": List, "@wcm:keyValue": Key, "#text": text });
const Specialize = z.discriminatedUnion("@name", [
  part("Microsoft-Windows-Shell-Setup", {
    ComputerName: z.string().regex(/^(?!\d+$)[A-Za-z0-9-]{1,15}$/),
    TimeZone: z.literal("UTC"),
  }),
  part("Microsoft-Windows-Deployment", {
    // Valid in specialize. Beside `Size` it would end the installation.
    ExtendOSPartition: z.strictObject({ Extend: Bool }),
  }),
  part("Microsoft-Windows-TCPIP", {
    Interfaces: z.strictObject({
      Interface: z.array(
        z.strictObject({
          "@wcm:action": List,
          Identifier: MacId,
          Ipv4Settings: z.strictObject({ DhcpEnabled: Bool }),
          UnicastIpAddresses: z.strictObject({ IpAddress: z.array(item(Cidr)) }),
          Routes: z
            .strictObject({
              Route: z.array(
                z.strictObject({
                  "@wcm:action": List,
                  Identifier: z.string().regex(/^\d+$/),
                  NextHopAddress: z.ipv4(),
                  Prefix: Cidr,
                }),
              ),
            })
            .optional(),
        }),
      ),
    }),
  }),
  part("Microsoft-Windows-DNS-Client", {
    Interfaces: z.strictObject({
      Interface: z.array(
        z.strictObject({
          "@wcm:action": List,
          Identifier: MacId,
          DNSServerSearchOrder: z.strictObject({ IpAddress: z.array(item(z.ipv4())) }),
        }),
      ),
    }),
  }),
  part("Microsoft-Windows-TerminalServices-LocalSessionManager", { fDenyTSConnections: Bool }),
  part("Microsoft-Windows-TerminalServices-RDP-WinStationExtensions", {
    UserAuthentication: z.enum(["0", "1"]),
  }),
  part("Networking-MPSSVC-Svc", {
    FirewallGroups: z.strictObject({
      FirewallGroup: z.array(
        z.strictObject({
          "@wcm:action": List,
          "@wcm:keyValue": Key,
          Active: Bool,
          Group: z.string(),
          Profile: z.enum(["all", "domain", "private", "public"]),
        }),
      ),
    }),
  }),
]);
const Language = z.string().regex(/^[a-z]{2}-[A-Z]{2}$/);
const International = part("Microsoft-Windows-International-Core", {
  InputLocale: Language,
  SystemLocale: Language,
  UILanguage: Language,
  UserLocale: Language,
});
const OobeSystem = part("Microsoft-Windows-Shell-Setup", {
  OOBE: z.strictObject({
    HideEULAPage: Bool,
    HideOEMRegistrationScreen: Bool,
    HideOnlineAccountScreens: Bool,
    HideWirelessSetupInOOBE: Bool,
    ProtectYourPC: z.enum(["1", "2", "3"]),
  }),
  UserAccounts: z.strictObject({
    AdministratorPassword: z.strictObject({ Value: z.base64(), PlainText: Bool }),
  }),
});
const Answer = z.strictObject({
  "?xml": z.object({ "@version": z.literal("1.0"), "@encoding": z.literal("utf-8") }),
  unattend: z.strictObject({
    "@xmlns": z.literal("urn:schemas-microsoft-com:unattend"),
    "@xmlns:wcm": z.literal("http://schemas.microsoft.com/WMIConfig/2002/State"),
    settings: z.tuple([
      z.strictObject({ "@pass": z.literal("specialize"), component: z.array(Specialize) }),
      z.strictObject({
        "@pass": z.literal("oobeSystem"),
        component: z.tuple([International, OobeSystem]),
      }),
    ]),
  }),
});
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) =>
    ["component", "settings", "Interface", "IpAddress", "Route", "FirewallGroup"].includes(name),
});
const parsed = (xml: string) => Answer.parse(parser.parse(xml));

describe("the first boot of Windows", () => {
  test("is told by these files", async () => {
    const files = windowsSeedFiles(vm, "Once-0nly-Pass");
    expect(Object.keys(files).sort()).toEqual([
      "Unattend.xml",
      "openstack/latest/meta_data.json",
      "openstack/latest/user_data",
    ]);
    await expect(files["Unattend.xml"]).toMatchFileSnapshot(golden("Unattend.xml"));
    await expect(files["openstack/latest/meta_data.json"]).toMatchFileSnapshot(
      golden("meta_data.json.golden"),
    );
    expect(files["openstack/latest/user_data"]).toBe(vm.userData);
  });

  test("the answer file keeps to Microsoft's schema, for every shape of a VM", () => {
    for (const one of [
      vm,
      aDesiredVm({ nameservers: [] }),
      aDesiredVm({ hostname: "12345.example" }),
      aDesiredVm({ hostname: "a-very-long-name-of-a-host.example.com" }),
    ])
      expect(() => parsed(unattendXml(one, "Once-0nly-Pass"))).not.toThrow();
  });

  test("the schema check refuses what Windows Setup would", () => {
    const xml = unattendXml(vm, "p");
    for (const broken of [
      xml.replace("fDenyTSConnections", "DenyTSConnections"),
      xml.replace("<ComputerName>web-1<", "<ComputerName>a name with blanks<"),
      xml.replace('pass="specialize"', 'pass="specialise"'),
      xml.replace("<UILanguage>en-US</UILanguage>", ""),
      xml.replace("<InputLocale>en-US</InputLocale>", ""),
    ])
      expect(() => parsed(broken)).toThrow(z.ZodError);
  });

  test("the administrator's password is the one given, in the way Windows reads it", () => {
    const secret = "p<&>\"'$(x)`|";
    const [, { component }] = parsed(unattendXml(vm, secret)).unattend.settings;
    const { Value, PlainText } = component[1].UserAccounts.AdministratorPassword;
    expect(PlainText).toBe("false");
    expect(Buffer.from(Value, "base64").toString("utf16le")).toBe(`${secret}AdministratorPassword`);
    expect(unattendXml(vm, secret)).not.toContain(secret);
  });

  test.each(["", "...", "пример", "a\0b", "x\ny"])(
    "a hostname %j that is no name is refused",
    (hostname) => {
      expect(() => unattendXml({ ...vm, hostname }, "p")).toThrow(
        expect.objectContaining({ code: "unsupported" }),
      );
    },
  );

  test("text that looks like XML stays text", () => {
    const hostname = "a</ComputerName><x y='1'/>";
    const { component } = parsed(unattendXml({ ...vm, hostname }, "p")).unattend.settings[0];
    expect(component[0]).toMatchObject({ ComputerName: "a--ComputerName" });
  });
});

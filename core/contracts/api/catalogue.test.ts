import { describe, expect, test } from "vitest";
import { withField } from "#test/harness/with-field.ts";
import { AddImage, AddLocation, AddPlan } from "./catalogue.ts";

const several = <T>(n: number, of: T): T[] => Array.from({ length: n }, () => of);

describe("a plan that is added", () => {
  const PLAN = {
    name: "Small",
    vcpus: 2,
    memoryMib: 2048,
    diskGib: 40,
    trafficGib: 1000,
    bandwidthMbit: 200,
    diskIops: 900,
    downgrade: "now",
    prices: [
      { interval: "month", amountMinor: "500", currency: "eur" },
      { interval: "year", amountMinor: "5000", currency: "eur" },
    ],
  };
  const price = (over: object) => [
    { interval: "month", amountMinor: "5", currency: "eur", ...over },
  ];

  test("is taken as it is", () => {
    expect(AddPlan.parse(PLAN)).toEqual(PLAN);
  });

  test("limits neither bandwidth nor operations, when nothing is said of them", () => {
    const { bandwidthMbit: _, diskIops: __, ...plan } = PLAN;
    expect(AddPlan.parse(plan)).toEqual({ ...PLAN, bandwidthMbit: null, diskIops: null });
  });

  test.each<[string, unknown]>([
    ["vcpus", 1],
    ["vcpus", 2048],
    ["memoryMib", 1],
    ["diskGib", 1],
    ["trafficGib", 0],
    ["trafficGib", 1_073_741_824],
    ["bandwidthMbit", 1],
    ["bandwidthMbit", 400_000],
    ["bandwidthMbit", null],
    ["diskIops", 1],
    ["diskIops", 10_000_000],
    ["diskIops", null],
    ["prices", price({ interval: "hour" })],
    ["prices", price({ amountMinor: "1" })],
    ["prices", price({ amountMinor: "999999999" })],
    ["prices", price({ currency: "usd" })],
    ["prices", ["usd", "eur", "jpy", "kwd", "isk"].flatMap((currency) => price({ currency }))],
    ["prices", ["hour", "month", "year"].flatMap((interval) => price({ interval }))],
  ])("may have %s of %j", (field, value) => {
    const plan = withField(PLAN, field, value);
    expect(AddPlan.parse(plan)).toEqual(plan);
  });

  test.each<[string, unknown]>([
    ["name", " "],
    ["name", "n".repeat(61)],
    ["vcpus", 0],
    ["vcpus", 2049],
    ["vcpus", "2"],
    ["memoryMib", 0],
    ["diskGib", 0],
    ["trafficGib", -1],
    ["trafficGib", 1_073_741_825],
    ["bandwidthMbit", 0],
    ["bandwidthMbit", 400_001],
    ["diskIops", 0],
    ["diskIops", 10_000_001],
    ["prices", []],
    ["prices", price({ interval: "week" })],
    ["prices", price({ amountMinor: "0" })],
    ["prices", price({ amountMinor: "05" })],
    ["prices", price({ amountMinor: "-5" })],
    ["prices", price({ amountMinor: "5.0" })],
    ["prices", price({ amountMinor: "1000000000" })],
    ["prices", price({ amountMinor: 5 })],
    ["prices", price({ currency: "xxx" })],
    ["prices", price({ vat: "19" })],
    ["price", "500"],
  ])("may not have %s of %j", (field, value) => {
    expect(AddPlan.safeParse(withField(PLAN, field, value)).success).toBe(false);
  });

  test.each([
    { name: "the same price twice", prices: several(2, price({})).flat() },
    {
      name: "two prices for an interval and currency",
      prices: [...price({}), ...price({ amountMinor: "6" })],
    },
    {
      name: "two prices for one of three",
      prices: [...price({}), ...price({ currency: "usd" }), ...price({ amountMinor: "6" })],
    },
  ])("may not have $name", ({ prices }) => {
    expect(AddPlan.safeParse({ ...PLAN, prices }).error?.issues).toMatchObject([
      { path: ["prices"], message: "one price for each interval and currency" },
    ]);
  });
});

describe("an image that is added", () => {
  const IMAGE = {
    name: "Debian 13",
    os: "linux",
    file: "debian-13",
    hypervisors: ["kvm", "hyperv"],
    minMemoryMib: 512,
    minDiskGib: 4,
    sha256: {},
    firmware: null,
    secureBoot: null,
    diskBus: null,
    speaks: true,
  };

  test.each<[string, unknown]>([
    ["name", "n".repeat(60)],
    ["os", "windows"],
    ["hypervisors", ["hyperv"]],
    ["minMemoryMib", 1],
    ["minMemoryMib", 1_073_741_824],
    ["minDiskGib", 1],
    ["minDiskGib", 1_073_741_824],
    ["speaks", false],
    ["sha256", { kvm: "0123456789abcdef".repeat(4) }],
    ["sha256", { kvm: "a".repeat(64), hyperv: "b".repeat(64) }],
    ["firmware", "bios"],
    ["firmware", "uefi"],
    ["diskBus", "virtio"],
    ["diskBus", "sata"],
    ["diskBus", "scsi"],
  ])("may have %s of %j", (field, value) => {
    const image = withField(IMAGE, field, value);
    expect(AddImage.parse(image)).toEqual(image);
  });

  test.each<[string, unknown]>([
    ["name", "n".repeat(61)],
    ["os", "plan9"],
    ["file", "../debian"],
    ["hypervisors", []],
    ["hypervisors", ["xen"]],
    ["minMemoryMib", 0],
    ["minMemoryMib", 1_073_741_825],
    ["minDiskGib", 0],
    ["minDiskGib", 1_073_741_825],
    ["speaks", "no"],
    ["sha256", { kvm: "A".repeat(64) }],
    ["firmware", "efi"],
    ["secureBoot", "on"],
    // Of a firmware that checks none.
    ["secureBoot", "microsoft"],
    ["diskBus", "ide"],
    ["sha256", { kvm: "a".repeat(63) }],
    ["sha256", { xen: "a".repeat(64) }],
    ["sha256", "a".repeat(64)],
    ["id", "img_1"],
  ])("may not have %s of %j", (field, value) => {
    expect(AddImage.safeParse(withField(IMAGE, field, value)).success).toBe(false);
  });
});

test("an image that is added without sums has none, and its guest speaks", () => {
  const image = {
    name: "a",
    os: "linux",
    file: "a",
    hypervisors: ["kvm"],
    minMemoryMib: 1,
    minDiskGib: 1,
  };
  expect(AddImage.parse(image)).toMatchObject({ sha256: {}, speaks: true });
});

describe("a location that is added", () => {
  const LOCATION = {
    name: "fsn-1",
    city: "Falkenstein",
    country: "DE",
    nameservers: ["192.0.2.53", "198.51.100.53"],
  };

  test.each<[string, unknown]>([
    ["name", "1"],
    ["name", `a${"-".repeat(31)}`],
    ["city", "c".repeat(100)],
    ["nameservers", ["192.0.2.53"]],
    ["nameservers", several(4, "192.0.2.53")],
  ])("may have %s of %j", (field, value) => {
    const location = withField(LOCATION, field, value);
    expect(AddLocation.parse(location)).toEqual(location);
  });

  test.each<[string, unknown]>([
    ["name", ""],
    ["name", "-a"],
    ["name", "Fsn"],
    ["name", " fsn"],
    ["name", "fsn\n"],
    ["name", "f".repeat(33)],
    ["city", "c".repeat(101)],
    ["nameservers", []],
    ["nameservers", several(5, "192.0.2.53")],
    ["nameservers", ["ns1.example.com"]],
    ["id", "loc_1"],
  ])("may not have %s of %j", (field, value) => {
    expect(AddLocation.safeParse(withField(LOCATION, field, value)).success).toBe(false);
  });

  test.each(["de", "D", "DEU", "D1", " DE"])(
    "is in no country %j, and is told what one is",
    (country) => {
      expect(AddLocation.safeParse({ ...LOCATION, country }).error?.issues).toMatchObject([
        { path: ["country"], message: "an ISO 3166 code of two letters" },
      ]);
    },
  );
});

import { listed, RANGE } from "../pages.ts";
import { moneyText } from "#core/money-text.ts";
import { listed as joined, mib } from "../output/format.ts";
import { columnsOf } from "../output/shown.ts";
import { command } from "./command.ts";

/** A catalogue is shown by names, which are short; ids stand in `--json`. */
export const catalogueCommands = [
  command("plan list", "Plans on sale, with their prices and where there is room", {
    options: { ...RANGE },
    run: async (session, _, range) => {
      const [plans, locations] = await Promise.all([
        listed(session, "listPlans", {}, range),
        listed(session, "listLocations", {}, { all: true }),
      ]);
      const nameOf = (id: string) => locations.items.find((l) => l.id === id)?.name ?? id;
      return {
        json: plans.json,
        ids: plans.items.map(({ id }) => id),
        next: plans.next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf(
              "NAME!",
              "VCPUS",
              "MEMORY",
              "DISK",
              "TRAFFIC",
              "PRICE",
              "ROOM IN",
              "ID?",
            ),
            rows: plans.items.map((plan) => [
              plan.name,
              String(plan.vcpus),
              mib(plan.memoryMib),
              `${plan.diskGib} GiB`,
              mib(plan.trafficGib * 1024),
              plan.prices.map((p) => `${moneyText(p.amount)}/${p.interval}`).join(" "),
              joined(plan.locations.filter((l) => l.available).map((l) => nameOf(l.locationId))),
              plan.id,
            ]),
          },
        ],
      };
    },
  }),

  command("image list", "Images that VMs are made from, and where", {
    options: { ...RANGE },
    run: async (session, _, range) => {
      const [images, locations] = await Promise.all([
        listed(session, "listImages", {}, range),
        listed(session, "listLocations", {}, { all: true }),
      ]);
      const nameOf = (id: string) => locations.items.find((l) => l.id === id)?.name ?? id;
      return {
        json: images.json,
        ids: images.items.map(({ id }) => id),
        next: images.next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("NAME!", "SYSTEM", "LEAST MEMORY", "LEAST DISK", "LOCATIONS", "ID?"),
            rows: images.items.map((image) => [
              image.name,
              image.os,
              mib(image.minMemoryMib),
              `${image.minDiskGib} GiB`,
              joined(image.locationIds.map(nameOf)),
              image.id,
            ]),
          },
        ],
      };
    },
  }),

  command("location list", "Locations", {
    options: { ...RANGE },
    run: async (session, _, range) => {
      const { items, json, next } = await listed(session, "listLocations", {}, range);
      return {
        json,
        ids: items.map(({ id }) => id),
        next,
        blocks: [
          {
            kind: "table",
            columns: columnsOf("NAME!", "CITY", "COUNTRY", "ID?"),
            rows: items.map(({ name, city, country, id }) => [name, city, country, id]),
          },
        ],
      };
    },
  }),
];

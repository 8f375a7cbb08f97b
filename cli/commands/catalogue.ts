import { readFile } from "node:fs/promises";
import { CatalogueFile } from "#core/contracts/api/catalogue-sync.ts";
import { Failure } from "../failure.ts";
import { byHash, FORCED } from "../forced.ts";
import { listed, RANGE } from "../pages.ts";
import type { Session } from "../session.ts";
import { moneyText } from "#core/money-text.ts";
import { listed as joined, mib, NOTHING } from "../output/format.ts";
import { columnsOf } from "../output/shown.ts";
import { TrialEnds } from "#core/contracts/api/catalogue.ts";
import { catalogueId } from "../names.ts";
import { command, count, flag, oneOf, required, several } from "./command.ts";
import { forced, REASON } from "./desk.ts";

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
              "TRIAL?",
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
              plan.trial === null ? NOTHING : `${plan.trial.days} d`,
              joined(plan.locations.filter((l) => l.available).map((l) => nameOf(l.locationId))),
              plan.id,
            ]),
          },
        ],
      };
    },
  }),

  command("catalogue trials", "Say on which terms plans may be tried", {
    staff: true,
    args: {},
    options: {
      days: count("days that a trial lasts", 730),
      endsIn: oneOf(
        "payment: a card is asked for, and charged then; suspension: none is (payment)",
        TrialEnds.options,
      ),
      unpaid: count("days that a VM runs on unpaid after it (1)", 31, 0),
      notice: count("days before its end that it is told (3)", 30, 0),
      most: count("so many at once, of all customers (100)", 1_000_000),
      plan: several("only of this plan; may be given again", { names: "plan", value: "plan" }),
      off: flag("nothing may be tried any more"),
      reason: REASON,
      ...FORCED,
    },
    run: async (
      session,
      _,
      { days, endsIn, unpaid, notice, most, plan, off, reason, ...options },
    ) => {
      if ((days === undefined) !== (off === true))
        throw new Failure("usage", "days_or_off", "either --days or --off");
      const plans = (plan ?? []).map((name) => catalogueId(session, "plan", name));
      const terms =
        days === undefined
          ? null
          : {
              days,
              endsIn: endsIn ?? ("payment" as const),
              suspendDays: unpaid ?? 1,
              noticeDays: notice ?? Math.min(3, days),
              mostAtOnce: most ?? 100,
              planIds: plans.length === 0 ? null : await Promise.all(plans),
            };
      const client = await session.client();
      return forced(session, options, "Offer that from now on?", (more) =>
        client.call("offerTrials", { body: { terms, reason, ...more } }),
      );
    },
  }),

  command(
    "catalogue sync",
    "Make what is sold, and Stripe's products and prices, what a file says",
    {
      staff: true,
      args: {
        file: required("JSON; `-` for standard input", { names: "file", value: "file" }),
      },
      options: {
        retire: flag("what is on sale and not in the file is sold no more"),
        ...FORCED,
      },
      run: async (session, { file }, { retire = false, ...options }) => {
        const catalogue = catalogueIn(file, await textOf(session, file));
        const client = await session.client();
        const { answer, done } = await byHash(
          session,
          options,
          "Change the catalogue?",
          (more) => client.call("syncCatalogue", { body: { catalogue, retire, ...more } }),
          ({ value }) => value,
        );
        const { effects, hash, left } = answer.value;
        const title = done ? "Done:" : "It would:";
        return {
          json: answer.raw,
          ids: [hash],
          blocks: [
            effects.length === 0
              ? { kind: "lines", lines: ["nothing to change"] }
              : { kind: "lines", title, lines: effects },
            ...(left.length === 0
              ? []
              : [{ kind: "lines", title: "Left as it is:", lines: left } as const]),
          ],
          next: done || effects.length === 0 ? undefined : `the same with --hash ${hash} does it`,
        };
      },
    },
  ),

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

const textOf = (session: Session, file: string): Promise<string> =>
  file === "-"
    ? session.world.stdin.text()
    : readFile(file, "utf8").catch((cause: unknown) => {
        throw new Failure("usage", "file_unreadable", `${file} cannot be read`, { cause });
      });

/** What is wrong in it is told here, by its place in the file, and not by the API. */
function catalogueIn(file: string, text: string): CatalogueFile {
  const invalid = (why: string, cause: unknown) =>
    new Failure("usage", "file_invalid", `${file}: ${why}`, { cause });
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const { data, error } = CatalogueFile.safeParse(read);
  if (data !== undefined) return data;
  throw invalid(
    error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
    error,
  );
}

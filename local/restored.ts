import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import {
  AdoptionView,
  type RestoreView as View,
  RestoreView,
} from "#core/contracts/api/restores.ts";
import { StackClient } from "./client.ts";

/* `npm run restored`: what an operator says when the database was restored (docs/runbooks/database-restored.md). */

const HELP = `npm run restored -- --to <instant> [--run] [--json]
npm run restored -- --adopt <vm> --checkout <cs_…> --account <acct_…> --plan <plan_…> [--run] [--hash <hash>] [--json]

Says to the product that its database was restored to the state of an instant (2026-01-31T12:00:00.000Z). Each host's
counters then rise above what its agent holds, nothing is destroyed for a day, join tokens, mailed links and sessions end,
and Stripe's events since are taken in again. Run again with the same instant it changes nothing, and says how far it is.
With --adopt it makes a VM known again that a host holds and the database does not.

  --run      do it; without it this is a dry run, which changes nothing
  --hash     of an adoption's dry run: without it, or when it would be another by now, it is refused
  --url      where the product is; else BERTH_API_URL, else what .local/stack.json says
  --json     the answer as it is
  --help     this

The token of a staff member, with the scope staff:write, comes from BERTH_TOKEN, else from .local/stack.json.
It ends with 0 when it was answered, 1 when it was refused or nobody answered, 2 when it was asked wrongly.`;

const OPTIONS = {
  to: { type: "string" },
  adopt: { type: "string" },
  checkout: { type: "string" },
  account: { type: "string" },
  plan: { type: "string" },
  hash: { type: "string" },
  url: { type: "string" },
  run: { type: "boolean", default: false },
  "dry-run": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;
type Asked = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

const Stack = z.object({ apiUrl: z.string(), tokens: z.object({ staff: z.string() }) });

class AskedWrongly extends Error {}

async function productOf(asked: Asked): Promise<StackClient> {
  const url = asked.url ?? process.env["BERTH_API_URL"];
  const token = process.env["BERTH_TOKEN"];
  if (url !== undefined && token !== undefined) return new StackClient(url, token);
  const folder = process.env["BERTH_LOCAL_DIR"] ?? ".local";
  const text = await readFile(path.join(folder, "stack.json"), "utf8").catch(() => {
    throw new AskedWrongly("where is the product? give --url and BERTH_TOKEN");
  });
  const stack = Stack.parse(JSON.parse(text));
  return new StackClient(url ?? stack.apiUrl, token ?? stack.tokens.staff);
}

async function main(): Promise<void> {
  const { values: asked } = parseArgs({ options: OPTIONS });
  if (asked.help) {
    console.log(HELP);
    return;
  }
  if (asked.run && asked["dry-run"]) throw new AskedWrongly("--run or --dry-run, not both");
  if ((asked.to === undefined) === (asked.adopt === undefined))
    throw new AskedWrongly("give --to or --adopt (--help says more)");
  const dryRun = !asked.run;
  const product = await productOf(asked);
  if (asked.adopt !== undefined) {
    const { checkout, account, plan, hash } = asked;
    if (checkout === undefined || account === undefined || plan === undefined)
      throw new AskedWrongly("--adopt needs --checkout, --account and --plan");
    const body = { checkoutId: checkout, accountId: account, planId: plan, dryRun, hash };
    const done = await product.ok(AdoptionView, "POST", `/staff/v1/vms/${asked.adopt}/adopt`, body);
    const lines = [dryRun ? "it would:" : "done:", ...done.effects.map((e) => `  ${e}`)];
    print(asked.json, done, [...lines, ...(dryRun ? [`hash ${done.hash}`] : [])]);
    return;
  }
  const to = new Date(asked.to ?? "");
  if (Number.isNaN(+to)) throw new AskedWrongly(`--to ${asked.to} is no instant`);
  const body = { restoredTo: to.toISOString(), dryRun };
  const state = await product.ok(RestoreView, "POST", "/staff/v1/restores", body);
  print(asked.json, state, told(state));
}

const print = (json: boolean, answer: unknown, lines: readonly string[]): void =>
  console.log(json ? JSON.stringify(answer, null, 2) : lines.join("\n"));

function told(state: View): readonly string[] {
  return [
    state.recordedAt === null
      ? `nothing was said of a restore to ${state.restoredTo} yet: this is a dry run, --run says it`
      : `restored to ${state.restoredTo}, said at ${state.recordedAt}; nothing is destroyed until ${state.destroysHeldUntil}`,
    state.eventsReadAt === null
      ? "Stripe's events since: not all taken in yet"
      : `Stripe's events since: taken in by ${state.eventsReadAt}`,
    `hosts that have not asked for their document since: ${state.unheardHosts.length}`,
    ...state.unheardHosts.map((host) => `  ${host.id} ${host.name}, heard at ${host.lastSeenAt}`),
    `VMs that hosts hold and the database does not know: ${state.unknownVms.length}`,
    ...state.unknownVms.map((vm) => {
      const { vcpus, memoryMib, diskGib } = vm.size;
      const size = `${vcpus} vCPUs, ${memoryMib} MiB, ${diskGib} GiB`;
      return `  ${vm.id} on ${vm.hostId}: ${vm.hostname}, ${vm.address}, ${size}, ${vm.imageId}`;
    }),
    `sessions paid for orders that the database lost: ${state.unknownCheckouts.length}`,
    ...state.unknownCheckouts.map(
      (c) => `  ${c.checkoutId} of ${c.email}: ${c.amountMinor} ${c.currency}, order ${c.orderId}`,
    ),
  ];
}

await main().catch((error: unknown) => {
  const isOurs = error instanceof AskedWrongly || Object(error).code?.startsWith("ERR_PARSE_ARGS");
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = isOurs ? 2 : 1;
});

import { readFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { drizzle } from "drizzle-orm/node-postgres";
import { z } from "zod";
import { systemClock, systemIds, systemSecrets } from "#adapters/clock.ts";
import { STAFF_ROLES } from "#core/accounts/accounts.ts";
import { AddStaff } from "#core/contracts/add-staff.ts";
import { toWireId } from "#core/ids.ts";
import { openPool } from "#db/open-pool.ts";
import { addStaff } from "#commands/accounts/add-staff.ts";
import { createLocalClock } from "./clock.ts";
import { PlainError, runMain } from "./main.ts";
import { loadSaved } from "./saved-secrets.ts";

/* `npm run staff:add`: the first member of staff, and every other one (docs/runbooks/deploy-aws.md for AWS). */

const HELP = `npm run staff:add -- --email <address> --role ${STAFF_ROLES.join("|")} [--json]

Makes a member of staff, or gives one another role, and prints a link that sets their password: good once and for an hour.
Run again it prints another link, and the one before ends. Who has logged in sets up a second factor
(POST /v1/auth/two-factor/enable, then verify-totp): without one staff change nothing.

  --json   the answer as data
  --help   this

environment
  BERTH_DATABASE_URL   the product's database, with BERTH_PUBLIC_URL, where the product is to be found;
                       without both, what .local/stack.json says
  BERTH_LOCAL_DIR      where that lies (.local)
`;

const Stack = z.object({ apiUrl: z.string(), databaseUrl: z.string() });

/** The product's database and address, and its time: that of `npm start` may have been moved. */
async function productOf(env: NodeJS.ProcessEnv) {
  const { BERTH_DATABASE_URL: databaseUrl, BERTH_PUBLIC_URL: publicUrl } = env;
  if (databaseUrl !== undefined && publicUrl !== undefined)
    return { databaseUrl, publicUrl: publicUrl.replace(/\/$/, ""), clock: systemClock };
  const folder = env["BERTH_LOCAL_DIR"] ?? ".local";
  const text = await readFile(path.join(folder, "stack.json"), "utf8").catch(() => {
    throw new PlainError("where is the product? give BERTH_DATABASE_URL and BERTH_PUBLIC_URL");
  });
  const { apiUrl, databaseUrl: url } = Stack.parse(JSON.parse(text));
  const { clockOffsetMs } = await loadSaved(folder);
  return { databaseUrl: url, publicUrl: apiUrl, clock: createLocalClock(clockOffsetMs) };
}

function askedFor(args: readonly string[]) {
  const options = {
    email: { type: "string" },
    role: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  } as const;
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

async function main(args: readonly string[]): Promise<void> {
  const { email, role, json, help } = askedFor(args);
  if (help) {
    process.stdout.write(HELP);
    return;
  }
  const asked = AddStaff.safeParse({ email, role });
  if (!asked.success)
    throw new PlainError(`--email and --role ${STAFF_ROLES.join(" or ")} are needed; see --help`);
  const { databaseUrl, publicUrl, clock } = await productOf(process.env);
  const pool = openPool({ connectionString: databaseUrl, max: 1 }, () => undefined);
  try {
    const added = await addStaff(
      { db: drizzle(pool), clock, ids: systemIds, secrets: systemSecrets, settings: { publicUrl } },
      asked.data,
    );
    if (!added.ok) throw new PlainError(added.error.detail);
    const { accountId, link, linkEndsAt } = added.value;
    const told = { accountId: toWireId("account", accountId), link, linkEndsAt };
    process.stdout.write(
      json
        ? `${JSON.stringify(told)}\n`
        : `${asked.data.email} is ${asked.data.role}. Good once, until ${linkEndsAt.toISOString()}:\n\n${link}\n`,
    );
  } finally {
    await pool.end();
  }
}

await runMain(main);

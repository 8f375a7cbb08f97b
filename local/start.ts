import { createWriteStream } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { isCurrency } from "#core/currencies.ts";
import type { Currency } from "#core/money.ts";
import { PublicKeyX } from "#core/contracts/public-key.ts";
import { holdAlone } from "#host-agent/state/single-instance.ts";
import { askedToStop, whenAsked } from "./asked-to-stop.ts";
import { startedHosts } from "./hosts.ts";
import { openKvmHost } from "./kvm-host.ts";
import { createLineLog } from "./log.ts";
import { PlainError, runMain } from "./main.ts";
import { busyPort, portsFrom } from "./ports.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { dataFolderOf } from "./postgres-place.ts";
import { LOCAL_PASSWORD, LOCAL_PEOPLE } from "./seed.ts";
import { startStack } from "./stack.ts";

const USAGE = `npm start [-- options]: the whole of Berth on this machine

  --driver simulated|kvm   two simulated hosts (default), or this machine's libvirt
  --help

environment
  BERTH_PORT        the API's port; Stripe, SQS and Postgres take the next three (8787)
  BERTH_LOCAL_DIR   where everything is kept (.local)
  BERTH_RELEASE_KEY whose signature agents' releases bear, as the x of an Ed25519 key's JWK (none)
  BERTH_ONE_MAY_DESTROY "yes": one member of staff alone deletes a customer's VM; two unless set
  BERTH_CURRENCY    what is ordered in where nobody says, such as eur (usd)
  BERTH_SMTP_URL    who takes mail, as smtps://user:password@host:465 (none: it is laid into a folder)
  BERTH_MAIL_FROM   whom mail is from; with BERTH_SMTP_URL
`;

async function main(args: readonly string[]): Promise<void> {
  const { values } = parse(args);
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const base = Number(process.env["BERTH_PORT"] ?? "8787");
  if (!Number.isInteger(base) || base < 1 || base > 65_532)
    throw new PlainError(
      `BERTH_PORT must be a port number up to 65532, not ${process.env["BERTH_PORT"]}`,
    );
  const folder = path.resolve(process.env["BERTH_LOCAL_DIR"] ?? ".local");
  const releaseKey = PublicKeyX.optional().safeParse(process.env["BERTH_RELEASE_KEY"]);
  if (!releaseKey.success)
    throw new PlainError("BERTH_RELEASE_KEY must be the x of an Ed25519 key's JWK: 43 characters");
  const asked = askedToStop();
  const undo: (() => unknown)[] = [];
  try {
    const { data } = releaseKey;
    await run({ folder, base, driver: values.driver, releaseKey: data, asked, undo });
  } catch (error) {
    // Whatever an interrupted start stumbled over, it was asked to end.
    if (!asked.aborted) throw error;
  } finally {
    await undoAll(undo);
  }
}

/** Who takes mail, where somebody does. */
function currencyFrom({ BERTH_CURRENCY: code }: NodeJS.ProcessEnv): Currency | undefined {
  if (code === undefined || isCurrency(code)) return code;
  throw new PlainError(`BERTH_CURRENCY is ${code}, which is no currency that Stripe takes`);
}

function smtpFrom({ BERTH_SMTP_URL: url, BERTH_MAIL_FROM: from }: NodeJS.ProcessEnv) {
  if (url === undefined) return undefined;
  if (!/^smtps?:\/\/\S+$/.test(url))
    throw new PlainError("BERTH_SMTP_URL must be smtp://… or smtps://…");
  if (from === undefined)
    throw new PlainError("BERTH_MAIL_FROM must say whom mail is from that BERTH_SMTP_URL takes");
  return { url, from };
}

/** In reverse, each of them, even when one fails. */
async function undoAll(undo: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of undo.toReversed())
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  if (failures.length > 0)
    throw new PlainError(`Berth did not stop cleanly: ${failures.map(String).join("; ")}`, {
      cause: failures[0],
    });
}

/** Starts everything and waits until it is asked to stop. What it began is in `undo`, however it ends. */
async function run(options: {
  folder: string;
  base: number;
  driver: string;
  releaseKey: string | undefined;
  asked: AbortSignal;
  undo: (() => unknown)[];
}): Promise<void> {
  const { folder, asked, undo } = options;
  const ports = portsFrom(options.base);
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new PlainError(
      `${folder} cannot be made (${cause instanceof Error ? cause.message : String(cause)}); BERTH_LOCAL_DIR=<folder> takes another`,
      { cause },
    );
  });
  const letGo = await holdAlone(folder).catch((cause: unknown) => {
    throw new PlainError(
      `${folder} is in use by another Berth: stop it, or run a second with BERTH_LOCAL_DIR=<folder> BERTH_PORT=<port>`,
      { cause },
    );
  });
  undo.push(letGo);
  const { data } = await dataFolderOf(path.join(folder, "postgres"));
  if (await endLeftoverPostgres(data))
    process.stdout.write("Ended the Postgres that a killed Berth left behind.\n");
  const busy = await busyPort(ports);
  if (busy !== undefined)
    throw new PlainError(
      `port ${busy} is busy: is Berth running already? BERTH_PORT=<port> moves this one`,
    );
  // A start that is cut short between two steps has a server that no later undo knows of.
  undo.push(() => endLeftoverPostgres(data));
  process.stdout.write("Berth is starting…\n");
  const kvm =
    options.driver === "kvm"
      ? await openKvmHost("kvm-real-1", path.join(folder, "kvm"), "power_off")
      : undefined;
  if (kvm) undo.push(kvm.close);
  asked.throwIfAborted();
  const logFile = createWriteStream(path.join(folder, "berth.log"), { flags: "a", mode: 0o600 });
  // One of before was for everybody to read.
  await chmod(path.join(folder, "berth.log"), 0o600).catch(() => undefined);
  // A full disk must not end the product; what cannot be written is lost.
  logFile.on("error", () => undefined);
  undo.push(() => logFile.end());
  const stack = await startStack({
    folder,
    ports,
    hosts: kvm ? [kvm.host] : startedHosts(),
    log: (clock) => createLineLog((line) => logFile.write(line), clock),
    intervals: { resyncSeconds: 15, usageSampleSeconds: 10, usageFlushSeconds: 20 },
    releaseKey: options.releaseKey,
    oneMayDestroy: process.env["BERTH_ONE_MAY_DESTROY"] === "yes",
    currency: currencyFrom(process.env),
    smtp: smtpFrom(process.env),
    sweepSeconds: 10,
    throwaway: false,
    signal: asked,
    agentEnded: (name, error) =>
      process.stderr.write(
        `berth: the agent of ${name} ended: ${error instanceof Error ? error.message : String(error)}\n`,
      ),
  });
  undo.push(stack.stop);
  process.stdout.write(`
  API        ${stack.apiUrl}   (docs: ${stack.apiUrl}/docs)
  Stripe     ${stack.stripeUrl}   a stand-in; pay with 4242 4242 4242 4242
  SQS        ${stack.sqsUrl}
  Postgres   ${withoutPassword(stack.databaseUrl)}
  mail       ${path.join(folder, "mail")}   (links to prove an address, and to choose a new password)
  hosts      ${stack.agents.map((a) => a.name).join(", ")}
  log        ${path.join(folder, "berth.log")}
  details    ${path.join(folder, "stack.json")}   (API tokens of a customer, staff, an integration; Postgres' password)

${LOCAL_PEOPLE.map((p) => `  ${p.role.padEnd(12)} ${p.email}`).join("\n")}
  password     ${LOCAL_PASSWORD}

Ctrl-C stops everything; started again it goes on where it stopped.
`);
  await whenAsked(asked);
  process.stdout.write("\nBerth is stopping…\n");
}

function withoutPassword(url: string): string {
  const shown = new URL(url);
  shown.password = "";
  return shown.href;
}

function parse(args: readonly string[]) {
  try {
    const parsed = parseArgs({
      args: [...args],
      options: {
        driver: { type: "string", default: "simulated" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (!["simulated", "kvm"].includes(parsed.values.driver))
      throw new Error(`--driver is simulated or kvm, not ${parsed.values.driver}`);
    return parsed;
  } catch (error) {
    throw new PlainError(`${error instanceof Error ? error.message : String(error)}; see --help`);
  }
}

await runMain(main);

import { mkdir } from "node:fs/promises";
import { createWriteStream } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { holdAlone } from "#host-agent/single-instance.ts";
import { startedHosts } from "./hosts.ts";
import { openKvmHost } from "./kvm-host.ts";
import { createLineLog } from "./log.ts";
import { PlainError, runMain } from "./main.ts";
import { busyPort, portsFrom } from "./ports.ts";
import { LOCAL_PASSWORD, LOCAL_PEOPLE } from "./seed.ts";
import { startStack } from "./stack.ts";

const USAGE = `npm start [-- options]: the whole of Berth on this machine

  --driver simulated|kvm   two simulated hosts (default), or this machine's libvirt
  --help

environment
  BERTH_PORT        the API's port; Stripe, SQS and Postgres take the next three (8787)
  BERTH_LOCAL_DIR   where everything is kept (.local)
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
  const ports = portsFrom(base);
  const busy = await busyPort(ports);
  if (busy !== undefined)
    throw new PlainError(
      `port ${busy} is busy: is Berth running already? BERTH_PORT=<port> moves this one`,
    );
  await mkdir(folder, { recursive: true });
  const letGo = await holdAlone(folder).catch((cause: unknown) => {
    throw new PlainError(
      `${folder} is in use by another Berth: BERTH_LOCAL_DIR=<folder> moves this one`,
      { cause },
    );
  });
  const kvm =
    values.driver === "kvm"
      ? await openKvmHost("kvm-real-1", path.join(folder, "kvm"), "power_off")
      : undefined;
  const logFile = createWriteStream(path.join(folder, "berth.log"), { flags: "a" });
  process.stdout.write("Berth is starting…\n");
  const stack = await startStack({
    folder,
    ports,
    hosts: kvm ? [kvm.host] : startedHosts(),
    log: (clock) => createLineLog((line) => logFile.write(line), clock),
    intervals: { resyncSeconds: 15, usageSampleSeconds: 10, usageFlushSeconds: 20 },
    sweepSeconds: 10,
    throwaway: false,
  });
  process.stdout.write(`
  API        ${stack.apiUrl}   (docs: ${stack.apiUrl}/docs)
  Stripe     ${stack.stripeUrl}   a stand-in; pay with 4242 4242 4242 4242
  SQS        ${stack.sqsUrl}
  Postgres   ${stack.databaseUrl}
  hosts      ${stack.agents.map((a) => a.name).join(", ")}
  log        ${path.join(folder, "berth.log")}
  details    ${path.join(folder, "stack.json")}   (API tokens of a customer, staff, an integration)

${LOCAL_PEOPLE.map((p) => `  ${p.role.padEnd(12)} ${p.email}`).join("\n")}
  password     ${LOCAL_PASSWORD}

Ctrl-C stops everything; started again it goes on where it stopped.
`);
  await untilStopped();
  process.stdout.write("\nBerth is stopping…\n");
  await stack.stop();
  await kvm?.close();
  letGo();
  logFile.end();
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

const untilStopped = () =>
  new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });

await runMain(main);

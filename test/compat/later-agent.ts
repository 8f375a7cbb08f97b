import { readFile } from "node:fs/promises";
import { createAgent } from "#host-agent/agent.ts";
import { createHttpControlPlane, type SignRequest } from "#host-agent/channel/control-plane.ts";
import { createSqsDoorbell } from "#host-agent/channel/doorbell.ts";
import { createSigner, enroll, loadIdentity } from "#host-agent/channel/identity.ts";
import { parseCommand } from "#host-agent/cli.ts";
import { openDriver } from "#host-agent/drivers/open-driver.ts";
import { fileStore } from "#host-agent/state/state-store.ts";
import { createJsonLog } from "#host-agent/json-log.ts";
import {
  systemClock as clock,
  systemIds as ids,
  systemRandom as random,
} from "#host-agent/system.ts";
import { oneFieldMore } from "./one-field-more.ts";

/*
 * An agent of a later part: this source's, but that every message has a field more in each object, and that it announces a
 * protocol and words of tomorrow. What it sends is signed as it is sent.
 */
const later = (sign: SignRequest | null): typeof fetch => {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const method = init?.method ?? "GET";
    const headers = new Headers(init?.headers);
    headers.set("berth-protocol", "3");
    headers.set("berth-understands", "a-word-of-tomorrow,another");
    const sent: unknown = typeof init?.body === "string" ? JSON.parse(init.body) : undefined;
    const body = sent === undefined ? "" : JSON.stringify(oneFieldMore(sent));
    if (sign)
      headers.set("authorization", `Bearer ${await sign(method, url.pathname + url.search, body)}`);
    return fetch(url, { ...init, method, headers, ...(body === "" ? {} : { body }) });
  };
};

const command = parseCommand(process.argv.slice(2), process.env);
if (command.name !== "run" || command.joinTokenFile === null)
  throw new Error("say run, with a token");
const log = createJsonLog((line) => process.stdout.write(line), clock);
const { apiUrl, driver: name, driverOptions } = command;
const driver = await openDriver(name, driverOptions, { clock, ids, log, agentVersion: "later" });
const store = fileStore(command.stateDir, { durable: false });
const open = createHttpControlPlane({ apiUrl, fetch: later(null), clock, sign: null });
const identity =
  (await loadIdentity(store)) ??
  (await enroll(store, open, {
    joinToken: (await readFile(command.joinTokenFile, "utf8")).trim(),
    facts: await driver.facts(),
  }));
const { hostId } = identity.enrolled;
const sign = await createSigner(identity, { clock, ids });
const stopping = new AbortController();
process.once("SIGTERM", () => stopping.abort(new Error("told to stop")));
await createAgent({
  hostId,
  driver,
  // `later` signs anew; this signature is of the message without the field more.
  controlPlane: createHttpControlPlane({ apiUrl, fetch: later(sign), clock, sign }),
  doorbell: (session) => createSqsDoorbell({ hostId, session, clock, log }),
  store,
  clock,
  random,
  log,
}).run(stopping.signal);

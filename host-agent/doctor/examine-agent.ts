import { lookup } from "node:dns/promises";
import { stat } from "node:fs/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { connect } from "node:tls";
import type { Clock, IdSource } from "#core/ports.ts";
import { ControlPlaneError, createHttpControlPlane } from "#host-agent/channel/control-plane.ts";
import { createSigner, type EnrolledIdentity } from "#host-agent/channel/identity.ts";
import type { DoctorOptions } from "#host-agent/cli.ts";
import { imagePathOf } from "#core/contracts/agent/images.ts";
import { look, seen, unseen, type Looked } from "./check.ts";
import type { AgentFacts, ServingFacts } from "./judge-agent.ts";
import type { StateRead } from "./read-state.ts";

/** A doctor must end, whatever hangs. */
const LIMIT_MS = 10_000;

export type DoctorPorts = Readonly<{
  clock: Clock;
  ids: IdSource;
  agentVersion: string;
  nodeVersion: string;
  /** Of the host's files: `/`, but where a test plants its own. */
  root: string;
}>;

/** Gathers what `judgeAgent` judges. `state` is null where no folder is named. */
export async function examineAgent(
  options: DoctorOptions,
  state: StateRead | null,
  ports: DoctorPorts,
): Promise<AgentFacts> {
  const { apiUrl, stateDir, driver, config } = options;
  const { clock, agentVersion, nodeVersion } = ports;
  const noFolder = unseen("no state folder is named");
  const base = apiUrl === null ? null : URL.parse(apiUrl);
  const toPlane = <T>(work: (base: URL) => Promise<T>): Promise<Looked<T>> =>
    look(async () => {
      if (base === null) throw new Error("no control plane is named");
      return work(base);
    });
  const { serveImages } = config.values;
  const [stateFolder, addresses, certificate, plane, serving] = await Promise.all([
    stateDir === null
      ? noFolder
      : look(async () => ({ path: stateDir, mode: await folderMode(stateDir) })),
    toPlane(addressesOf),
    toPlane(certificateOf),
    toPlane((url) => timeOf(url, clock)),
    serveImages === undefined ? seen(null) : look(() => servedAt(serveImages.listen)),
  ]);
  const hostId: AgentFacts["hostId"] =
    state === null
      ? noFolder
      : "unseen" in state.identity
        ? state.identity
        : { seen: state.identity.seen?.enrolled.hostId ?? null };
  return {
    now: clock.now(),
    agentVersion,
    nodeVersion,
    config,
    missing: [
      ...(apiUrl === null ? ["api"] : []),
      ...(stateDir === null ? ["state-dir"] : []),
      ...(driver === null ? ["driver"] : []),
    ],
    stateFolder,
    corrupt: state?.corrupt ?? noFolder,
    agents: state?.agents ?? noFolder,
    status: state?.status ?? noFolder,
    spool: state?.spool ?? noFolder,
    hostId,
    addresses,
    certificate,
    plane,
    serving,
    accepted: await toPlane((url) => askAsHost(url, state, plane, ports)),
  };
}

/** Asked as nobody, for an image that nobody has: who serves images tells that it does not know who asks. */
async function servedAt(listen: string): Promise<ServingFacts> {
  const { hostname } = new URL(`http://${listen}/`);
  const own = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const name = hostname.replace(/^\[|\]$/g, "");
  const hasAddress = own.some(({ address }) => address === name);
  if (!hasAddress) return { listen, hasAddress, status: null };
  const url = `http://${listen}${imagePathOf("0".repeat(64))}`;
  const status = await fetch(url, {
    redirect: "manual",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).then(
    async (answer) => {
      await answer.body?.cancel();
      return answer.status;
    },
    () => null,
  );
  return { listen, hasAddress, status };
}

/** null: it is not there. Windows keeps rights in lists, and Node makes a mode up there: that is not judged. */
export async function folderMode(folder: string): Promise<number | null> {
  try {
    const { mode } = await stat(folder);
    return process.platform === "win32" ? 0o700 : mode;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

async function addressesOf({ hostname }: URL): Promise<string[]> {
  const name = hostname.replace(/^\[|\]$/g, "");
  if (isIP(name) !== 0) return [name];
  return (await withinLimit(lookup(name, { all: true }), `no answer for ${name}`)).map(
    ({ address }) => address,
  );
}

/** Throws what is wrong with it: unknown issuer, other name, ended, no TLS at all. */
async function certificateOf({ protocol, hostname, port }: URL): Promise<{ validTo: Date } | null> {
  if (protocol !== "https:") return null;
  const host = hostname.replace(/^\[|\]$/g, "");
  return await new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: port === "" ? 443 : Number(port),
      // Names only: RFC 6066 has no addresses here.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      timeout: LIMIT_MS,
    });
    const end = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    socket.once("secureConnect", () => {
      const validTo = new Date(socket.getPeerCertificate().valid_to);
      end(() => resolve({ validTo }));
    });
    socket.once("timeout", () => end(() => reject(new Error(`${host} does not answer in time`))));
    socket.once("error", (error) => end(() => reject(error)));
  });
}

/** Asked as nobody: that it answers at all, and what time it has. */
async function timeOf(base: URL, clock: Clock) {
  const url = new URL(`${base.pathname.replace(/\/+$/, "")}/agent/v1/desired`, base.origin);
  const answer = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(LIMIT_MS) });
  await answer.body?.cancel();
  const date = answer.headers.get("date");
  return {
    status: answer.status,
    time: date === null ? null : new Date(date),
    askedAt: clock.now(),
  };
}

/** With the host's own key, for the document that it holds already: nothing is fetched, and nothing changes. */
async function askAsHost(
  base: URL,
  state: StateRead | null,
  plane: AgentFacts["plane"],
  { clock, ids }: DoctorPorts,
): Promise<{ code: string; detail: string } | null> {
  const identity = enrolledIn(state);
  // Signed in the control plane's time, as the agent does: a clock that is off is told by a check of its own.
  const offMs =
    "seen" in plane && plane.seen.time !== null
      ? plane.seen.time.getTime() - plane.seen.askedAt.getTime()
      : 0;
  const planeClock = { ...clock, now: () => new Date(clock.now().getTime() + offMs) };
  const sign = await createSigner(identity, { clock: planeClock, ids });
  const apiUrl = base.href;
  const controlPlane = createHttpControlPlane({
    apiUrl,
    fetch,
    clock,
    sign,
    timeLimitMs: LIMIT_MS,
  });
  const held = state !== null && "seen" in state.desired ? state.desired.seen : null;
  const etag = held === null ? null : `${held.generation}-${held.hash}`;
  try {
    await controlPlane.desired({ etag, atLeast: null });
    return null;
  } catch (error) {
    // What is no answer is not judged: it could not be asked.
    if (!(error instanceof ControlPlaneError) || error.status === null) throw error;
    return { code: error.code, detail: error.message };
  }
}

function enrolledIn(state: StateRead | null): EnrolledIdentity {
  if (state === null) throw new Error("no state folder is named");
  if ("unseen" in state.identity) throw new Error(state.identity.unseen);
  if (state.identity.seen === null) throw new Error("this host is not enrolled");
  return state.identity.seen;
}

async function withinLimit<T>(work: Promise<T>, late: string): Promise<T> {
  const timer = AbortSignal.timeout(LIMIT_MS);
  return await Promise.race([
    work,
    new Promise<never>((_, reject) =>
      timer.addEventListener("abort", () => reject(new Error(late)), { once: true }),
    ),
  ]);
}

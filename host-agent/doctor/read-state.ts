import { stat } from "node:fs/promises";
import path from "node:path";
import type { ControlPlane } from "#host-agent/channel/control-plane.ts";
import { loadIdentity, type EnrolledIdentity } from "#host-agent/channel/identity.ts";
import { createPlaneTime } from "#host-agent/channel/plane-time.ts";
import { createSentReports } from "#host-agent/channel/sent-reports.ts";
import { createActionJournal } from "#host-agent/converge/actions.ts";
import { createDesiredState, type DesiredState } from "#host-agent/converge/desired.ts";
import { createDestroyLimit } from "#host-agent/converge/destroy-limit.ts";
import { createSpool } from "#host-agent/meter/spool.ts";
import { agentsHere } from "#host-agent/state/single-instance.ts";
import { createInstallation } from "#host-agent/state/installation.ts";
import { fileStore, type StateStore } from "#host-agent/state/state-store.ts";
import { readStatus, type AgentStatus } from "#host-agent/state/status-notes.ts";
import type { Clock, Log } from "#core/ports.ts";
import { look, type Looked } from "./check.ts";
import type { SpoolFacts } from "./judge-agent.ts";

const SPOOL = { waiting: "spool", refused: "spool-refused" };

/** What a state folder says, read beside the agent that works on it. */
export type StateRead = Readonly<{
  agents: Looked<{ mine: boolean; others: number }>;
  status: Looked<AgentStatus | null>;
  identity: Looked<EnrolledIdentity | null>;
  desired: Looked<ReturnType<DesiredState["current"]>>;
  spool: Looked<SpoolFacts>;
  corrupt: Looked<readonly string[]>;
}>;

/** Reads the folder and changes nothing in it. `root`: of the host's files. */
export async function readState(stateDir: string, clock: Clock, root = "/"): Promise<StateRead> {
  const store = readOnly(fileStore(stateDir, { durable: false }));
  const desired = desiredIn(store);
  return {
    agents: await look(() => agentsHere(stateDir, root)),
    status: await look(() => readStatus(store)),
    identity: await look(() => loadIdentity(store)),
    desired: await look(async () => {
      await desired.load();
      return desired.current();
    }),
    spool: await look(() => readSpool(store, stateDir)),
    corrupt: await look(() => corruptIn(store, stateDir, clock)),
  };
}

/** Whose it is does not matter to whether it can be read. */
const NO_HOST = "";

/** Each of the agent's parts reads its own file, as at a start; what it would mend or move stays as it is. */
async function corruptIn(store: StateStore, stateDir: string, clock: Clock): Promise<string[]> {
  await stat(stateDir);
  const pages: string[] = [];
  const log: Log = {
    info: () => undefined,
    error: (event, fields) => pages.push(`${event}: ${String(fields["page"])}`),
  };
  const planeTime = createPlaneTime({ clock, log });
  const readers = [
    () => loadIdentity(store),
    () => desiredIn(store).load(),
    () => createActionJournal(store).load(),
    () => createInstallation({ hostId: NO_HOST, store, log }).load(),
    () => createDestroyLimit({ store, clock, perHour: () => 0 }).load(),
    () => createSentReports({ store, controlPlane: NOBODY, planeTime }).load(),
    () => createSpool(store, log).load(),
    () => readStatus(store),
  ];
  const faults: string[] = [];
  for (const read of readers) {
    const found = await look<unknown>(read);
    if ("unseen" in found) faults.push(found.unseen);
  }
  return [...faults, ...pages];
}

async function readSpool(store: StateStore, stateDir: string): Promise<SpoolFacts> {
  const pages = await store.list(SPOOL.waiting);
  // Pages are numbered in the order of their making.
  const [first] = pages;
  const oldest =
    first === undefined
      ? null
      : // Sent, and so deleted, between the two questions.
        await stat(path.join(stateDir, SPOOL.waiting, first)).then(
          ({ mtime }) => mtime,
          () => null,
        );
  return { pages: pages.length, oldest, refused: (await store.list(SPOOL.refused)).length };
}

const desiredIn = (store: StateStore): DesiredState =>
  createDesiredState({ hostId: "", store, controlPlane: NOBODY, log: QUIET });

const readOnly = (store: StateStore): StateStore => ({
  ...store,
  write: async () => undefined,
  remove: async () => undefined,
});

const QUIET: Log = { info: () => undefined, error: () => undefined };
const refuse = (): Promise<never> => Promise.reject(new Error("nothing is asked here"));
/** Whoever reads asks nobody. */
const NOBODY: ControlPlane = {
  enroll: refuse,
  session: refuse,
  desired: refuse,
  report: refuse,
  sendUsage: refuse,
  initialPassword: refuse,
  images: refuse,
};

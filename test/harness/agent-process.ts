import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { DriverName } from "#host-agent/drivers/open-driver.ts";
import { freePort } from "#local/free-port.ts";
import { joinTokenFor, seedCatalogue } from "#local/seed.ts";
import type { TestStack } from "./stack.ts";

const CHILD = path.join(import.meta.dirname, "agent-child.ts");
/** Of what a dead agent said, as much as tells why. */
const MOST_SAID = 20_000;

/**
 * A host's agent in a process of its own, enrolled at a stack. Starts and kills wait for one another: a host has one agent at most
 * (`holdAlone`), whoever else wants one meanwhile.
 */
export type AgentProcess = Readonly<{
  /** Until it works. One that lives is left as it is. */
  start: () => Promise<void>;
  /** As a power cut does, but for what it has started; nothing where it is dead. */
  kill: () => Promise<void>;
  isAlive: () => boolean;
  /** The stack's clock was moved on. */
  advance: (ms: number) => void;
  /** What it logged last. */
  said: () => string;
}>;

export async function anAgentProcess(
  stack: TestStack,
  host: Readonly<{
    name: string;
    driver: DriverName;
    driverOptions: object;
    env?: Record<string, string>;
    /** What it is started through: a command that leads to where its host is. */
    enter?: readonly string[];
  }>,
): Promise<AgentProcess> {
  const { locationId } = await seedCatalogue(stack.deps);
  const folder = path.join(stack.folder, "hosts", host.name);
  await mkdir(folder, { recursive: true });
  const { env, enter = [], ...told } = host;
  const orders = {
    ...told,
    folder,
    apiUrl: stack.apiUrl,
    // The same in each of its lives, as a host's is.
    movesPort: await freePort(),
  };
  let joinToken: string | null = null;
  let child: ChildProcess | null = null;
  let said = "";
  const isAlive = () => child !== null && child.exitCode === null && child.signalCode === null;
  const start = async () => {
    if (isAlive()) return;
    // Of its first life: by then it is enrolled.
    joinToken ??= await joinTokenFor(stack.deps, host.name, locationId);
    const clockOffsetMs = stack.clock.offsetMs();
    const words = JSON.stringify({ ...orders, joinToken, clockOffsetMs });
    const [command, ...args] = [...enter, process.execPath, CHILD, words];
    const started = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    child = started;
    started.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-MOST_SAID);
    });
    await Promise.race([
      once(started, "message"),
      once(started, "exit").then(() => {
        throw new Error(`the agent of ${host.name} did not start: ${said}`);
      }),
    ]);
  };
  const kill = async () => {
    if (child === null || !isAlive()) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  };
  return {
    start: () => inTurn(start),
    kill: () => inTurn(kill),
    isAlive,
    advance: (advanceMs) => void child?.send({ advanceMs }),
    said: () => said,
  };
}

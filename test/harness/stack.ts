import { rm } from "node:fs/promises";
import type { LocalHost } from "#local/agents.ts";
import { StackClient } from "#local/client.ts";
import { instantHosts } from "#local/hosts.ts";
import { freePorts, type Ports } from "#local/ports.ts";
import { startStack, type Stack } from "#local/stack.ts";
import { folderInMemory } from "./folder-in-memory.ts";

export type TestStack = Stack & {
  folder: string;
  customer: StackClient;
  staff: StackClient;
  /** What the stack logged as an error. */
  errors: readonly { event: string; fields: Record<string, unknown> }[];
  /** The status of every request that it answered. */
  statuses: readonly number[];
  close: () => Promise<void>;
};

/** A fresh folder. */
export const aFolder = (): Promise<string> => folderInMemory("berth-e2e-");

/**
 * The whole product, on a fresh folder and free ports, with hosts that take no time. With a `home` it goes on from
 * what that folder holds, and leaves it there.
 */
export async function openStack(
  options: {
    hosts?: readonly LocalHost[];
    resyncSeconds?: number;
    home?: { folder: string; ports: Ports };
  } = {},
): Promise<TestStack> {
  const { home } = options;
  const folder = home?.folder ?? (await aFolder());
  const statuses: number[] = [];
  const errors: { event: string; fields: Record<string, unknown> }[] = [];
  const stack = await startStack({
    folder,
    ports: home?.ports ?? (await freePorts()),
    hosts: options.hosts ?? instantHosts(),
    log: () => ({
      info: (event, fields) => {
        if (event === "http.request") statuses.push(Number(fields["status"]));
      },
      error: (event, fields) => errors.push({ event, fields }),
    }),
    intervals: {
      resyncSeconds: options.resyncSeconds ?? 60,
      usageSampleSeconds: 1,
      usageFlushSeconds: 1,
    },
    sweepSeconds: 60,
    throwaway: home === undefined,
  });
  return {
    ...stack,
    folder,
    customer: new StackClient(stack.apiUrl, stack.tokens.customer),
    staff: new StackClient(stack.apiUrl, stack.tokens.staff),
    errors,
    statuses,
    close: async () => {
      await stack.stop();
      if (home === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

import type { ReceivedDocument } from "#core/contracts/agent/desired.ts";
import type { ControlPlane } from "#host-agent/channel/control-plane.ts";
import type { StateStore } from "#host-agent/state/state-store.ts";

/** Passed before and after everything an agent does to the outside. It never returns to an agent that is dead. */
export type Step = (place: string) => Promise<void>;

export const forever = new Promise<never>(() => undefined);

/** Lets the first `lives` steps pass, and no other: what the agent began stays as it is. */
export function dyingAfter(lives: number, die: () => void = () => undefined) {
  let steps = 0;
  return {
    steps: () => steps,
    isDead: () => steps > lives,
    step: async () => {
      steps += 1;
      if (steps <= lives) return;
      die();
      await forever;
    },
  };
}

export function mortalStore(store: StateStore, step: Step): StateStore {
  const around = async <T>(place: string, work: () => Promise<T>): Promise<T> => {
    await step(`before ${place}`);
    const value = await work();
    await step(`after ${place}`);
    return value;
  };
  return {
    read: (name) => store.read(name),
    list: (folder) => store.list(folder),
    write: (name, text) => around(`write ${name}`, () => store.write(name, text)),
    remove: (name) => around(`remove ${name}`, () => store.remove(name)),
  };
}

export function mortalControlPlane(
  plane: ControlPlane,
  step: Step,
  told: (document: ReceivedDocument) => void = () => undefined,
): ControlPlane {
  return {
    enroll: (request, signal) => plane.enroll(request, signal),
    session: (signal) => plane.session(signal),
    async desired(have, signal) {
      const document = await plane.desired(have, signal);
      if (document !== null) told(document);
      await step("after desired");
      return document;
    },
    async report(report, signal) {
      await step("before report");
      await plane.report(report, signal);
      await step("after report");
    },
    async sendUsage(batch, signal) {
      await step("before usage");
      const receipt = await plane.sendUsage(batch, signal);
      await step("after usage");
      return receipt;
    },
    images: (progress, signal) => plane.images(progress, signal),
    async initialPassword(vmId, signal) {
      const password = await plane.initialPassword(vmId, signal);
      await step("after initial password");
      return password;
    },
  };
}

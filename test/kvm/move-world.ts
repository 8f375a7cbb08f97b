import { execFile } from "node:child_process";
import { chmod, constants, copyFile, mkdir, readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { eq } from "drizzle-orm";
import { v7 } from "uuid";
import { z } from "zod";
import { idIn } from "#core/ids.ts";
import { MOVE_STEPS, type MoveStep } from "#core/moves/move.ts";
import { vms } from "#db/schema/vms.ts";
import { EXAMPLE_SSH_KEY, payCheckout } from "#local/client.ts";
import { eventually } from "#test/drivers/builders.ts";
import { anAgentProcess } from "#test/harness/agent-process.ts";
import { PATIENCE_MS } from "#test/harness/patience.ts";
import { openStack, type TestStack } from "#test/harness/stack.ts";
import { type LibvirtHost, openLibvirtHost } from "./two-hosts.ts";

/* The whole product with two KVM hosts, each with a libvirt of its own and an agent that is a process of its own. */

const run = promisify(execFile);
const Order = z.object({ state: z.string(), vmId: z.string().nullable() });
const Vm = z.object({ status: z.string() });
const Plan = z.object({
  method: z.string().nullable(),
  checks: z.array(z.object({ check: z.string(), ok: z.boolean(), detail: z.string() })),
  hash: z.string().nullable(),
});
const Begun = z.object({ move: z.object({ id: z.string() }) });
const Moved = z.object({
  step: z.enum(MOVE_STEPS),
  outcome: z.string().nullable(),
  failure: z.object({ code: z.string(), detail: z.string() }).nullable(),
  pauseMs: z.number().nullable(),
});
export type Moved = z.infer<typeof Moved>;
const StaffVm = z.object({ host: z.object({ name: z.string() }), status: z.string() });
const Hosts = z.object({
  items: z.array(
    z.object({ id: z.string(), name: z.string(), accelerator: z.string().nullable() }),
  ),
});

/**
 * At its first boot it makes itself a service of the guest's: at each boot it goes on from what it has written, and says no number before
 * that is on the disk: while the guest shuts down, its disk can be written no more before it is ended.
 */
export const COUNTS = `#!/bin/sh
cat >/var/lib/tiny/count <<'END'
#!/bin/sh
n=$(cat /var/lib/tiny/n 2>/dev/null || echo 0)
echo "FROM $n" >/dev/ttyS0
while :; do
  n=$((n+1)); echo $n >/var/lib/tiny/n.new && mv /var/lib/tiny/n.new /var/lib/tiny/n && sync || exit
  echo "COUNT $n" >/dev/ttyS0; sleep 0.1
done
END
chmod +x /var/lib/tiny/count
sed -i 's#^read -r up rest.*#&\\n/var/lib/tiny/count \\&#' /sbin/init
/var/lib/tiny/count &
`;

/** Seldom: the two hosts' guests have the machine's processors otherwise. */
export const until = <T>(what: string, look: () => Promise<T | undefined>): Promise<T> =>
  eventually(what, look, 2 * PATIENCE_MS, 250);

export type MoveHostProcess = Readonly<{
  name: string;
  libvirt: LibvirtHost;
  /** Kills its agent, which is begun anew, as by systemd. */
  killAgent: () => Promise<void>;
  virsh: (...args: string[]) => Promise<string>;
  /** The folders of its VMs' disks, consoles and trash. */
  at: (part: "disks" | "consoles" | "trash") => string;
  close: () => Promise<void>;
}>;

async function openHost(name: string, folder: string, image: string, stack: TestStack) {
  const libvirt = await openLibvirtHost(name);
  const at = (part: string) => path.join(folder, part);
  // QEMU runs as a user of its own, which must be able to pass through.
  await mkdir(folder, { mode: 0o711 });
  for (const part of ["images", "disks", "seeds", "consoles", "trash"])
    await mkdir(at(part), { mode: 0o711 });
  const file = path.join(at("images"), "tiny.qcow2");
  await copyFile(image, file, constants.COPYFILE_FICLONE);
  await chmod(file, 0o444);
  const agent = await anAgentProcess(stack, {
    name,
    driver: "kvm",
    driverOptions: {
      imageDir: at("images"),
      diskDir: at("disks"),
      seedDir: at("seeds"),
      consoleDir: at("consoles"),
      trashDir: at("trash"),
      network: { kind: "user" },
      emulationAllowed: true,
    },
    enter: libvirt.enter,
  });
  await agent.start();
  const virsh = async (...args: string[]) =>
    (await run("virsh", ["-q", "-c", libvirt.uri, ...args])).stdout;
  return {
    name,
    libvirt,
    virsh,
    at,
    killAgent: async () => {
      await agent.kill();
      await agent.start();
    },
    close: async () => {
      await agent.kill();
      await libvirt.close();
    },
  };
}

/** Closed by `close`, with all that runs in it. */
export async function openMoveWorld(folder: string, image: string) {
  const stack = await openStack({ hosts: [], resyncSeconds: 1 });
  const hosts: MoveHostProcess[] = [];
  const close = async () => {
    for (const host of hosts) await host.close();
    await stack.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await chmod(folder, 0o711);
    for (const name of ["kvm-a", "kvm-b"])
      hosts.push(await openHost(name, path.join(folder, name), image, stack));
  } catch (error) {
    await close();
    throw error;
  }
  const [a, b] = hosts;
  if (!a || !b) throw new Error("there are two hosts");

  /** A VM whose guest counts, and has been there for a while. */
  async function aVm(hostname: string): Promise<string> {
    const { orderId, checkoutUrl } = await stack.customer.order({
      plan: "XS",
      image: "Tiny Linux",
      hostname,
      key: v7(),
      sshKeys: [EXAMPLE_SSH_KEY],
      userData: COUNTS,
    });
    await payCheckout(checkoutUrl, "4242424242424242");
    const vmId = await until("the order's activation", async () => {
      const order = await stack.customer.ok(Order, "GET", `/v1/orders/${orderId}`);
      return order.state === "active" && order.vmId !== null ? order.vmId : undefined;
    });
    const longAgo = new Date(Date.now() - 3_600_000);
    await stack.deps.db
      .update(vms)
      .set({ guestReadyAt: longAgo })
      .where(eq(vms.id, idIn("vm").parse(vmId)));
    return vmId;
  }

  const hostOf = async (vmId: string): Promise<MoveHostProcess> => {
    const { host } = await stack.staff.ok(StaffVm, "GET", `/staff/v1/vms/${vmId}`);
    return host.name === a.name ? a : b;
  };
  const otherOf = (host: MoveHostProcess) => (host === a ? b : a);

  async function planTo(vmId: string, host: MoveHostProcess, method: string) {
    const { items } = await stack.staff.ok(Hosts, "GET", "/staff/v1/hosts");
    const hostId = items.find(({ name }) => name === host.name)?.id;
    const asked = { method, hostId, reason: "its host is worn out" };
    const at = `/staff/v1/vms/${vmId}/migrate`;
    let last: unknown;
    const plan = await until("a plan that can be done", async () => {
      const shown = await stack.staff.ok(Plan, "POST", at, { ...asked, dryRun: true });
      last = shown.checks.filter(({ ok }) => !ok);
      return shown.hash === null ? undefined : shown;
    }).catch((cause: unknown) => {
      throw new Error(`no plan: ${JSON.stringify(last)}`, { cause });
    });
    return { plan, at, asked };
  }
  /** To the other host. Answers the move's id. */
  async function begin(vmId: string, method: string): Promise<string> {
    const { plan, at, asked } = await planTo(vmId, otherOf(await hostOf(vmId)), method);
    const body = { ...asked, dryRun: false, hash: plan.hash };
    return (await stack.staff.ok(Begun, "POST", at, body)).move.id;
  }
  const moveOf = (moveId: string) => stack.staff.ok(Moved, "GET", `/staff/v1/moves/${moveId}`);
  const untilEnded = (moveId: string): Promise<Moved> =>
    until("the move's end", async () => {
      const move = await moveOf(moveId);
      return move.outcome === null ? undefined : move;
    });

  /** At that step, or past it. */
  const untilAt = (moveId: string, step: MoveStep): Promise<true> =>
    until(`the move is at ${step}`, async () =>
      MOVE_STEPS.indexOf((await moveOf(moveId)).step) >= MOVE_STEPS.indexOf(step)
        ? true
        : undefined,
    );

  const domain = (vmId: string) => idIn("vm").parse(vmId);
  const stateAt = async (host: MoveHostProcess, vmId: string): Promise<string> =>
    (
      await host
        .virsh("domstate", domain(vmId))
        .catch((error: unknown) => (/failed to get domain/.test(String(error)) ? "none" : "?"))
    ).trim();
  const disksAt = async (host: MoveHostProcess, vmId: string) =>
    (await readdir(host.at("disks"))).filter((name) => name.includes(domain(vmId)));

  /** What was said on both, in the order of the epochs. */
  async function said(vmId: string): Promise<string> {
    const parts: { epoch: number; file: string }[] = [];
    for (const host of hosts)
      for (const part of ["trash", "consoles"] as const)
        for (const entry of await readdir(host.at(part), {
          recursive: true,
          withFileTypes: true,
        })) {
          const epoch = /\.e(\d+)\.log$/.exec(entry.name)?.[1];
          if (entry.isFile() && entry.name.includes(domain(vmId)) && epoch !== undefined)
            parts.push({ epoch: Number(epoch), file: path.join(entry.parentPath, entry.name) });
        }
    const texts = parts
      .toSorted((one, other) => one.epoch - other.epoch)
      .map(({ file }) => readFile(file, "utf8").catch(() => ""));
    return (await Promise.all(texts)).join("");
  }
  const lastCount = async (vmId: string): Promise<number> =>
    Number(
      (await said(vmId))
        .match(/COUNT \d+(?=\r?\n)/g)
        ?.at(-1)
        ?.slice(6) ?? 0,
    );

  return {
    stack,
    hosts: [a, b] as const,
    aVm,
    hostOf,
    otherOf,
    planTo,
    begin,
    moveOf,
    untilAt,
    untilEnded,
    stateAt,
    disksAt,
    said,
    lastCount,
    isEmulated: async () => {
      const { items } = await stack.staff.ok(Hosts, "GET", "/staff/v1/hosts");
      return items.some(({ accelerator }) => accelerator === "tcg");
    },
    statusOf: async (vmId: string) =>
      (await stack.customer.ok(Vm, "GET", `/v1/vms/${vmId}`)).status,
    close,
  };
}
export type MoveWorld = Awaited<ReturnType<typeof openMoveWorld>>;

import { stat, statfs } from "node:fs/promises";
import type { HostFacts } from "#core/contracts/agent/report.ts";
import type { ReadDocument } from "#host-agent/converge/read-document.ts";
import type { VmDriver } from "#host-agent/drivers/driver.ts";
import {
  checkOptions,
  HypervConfig,
  KvmConfig,
  openDriver,
  type DriverName,
  type DriverPorts,
} from "#host-agent/drivers/open-driver.ts";
import { judge, look, type Check } from "./check.ts";
import { judgeKvm } from "./judge-kvm.ts";

export type HostPorts = DriverPorts & Readonly<{ root: string }>;
export type Mended = Readonly<{ check: string; did: string }>;

type Examiner = Readonly<{
  /** Throws `DriverOptionsError`. */
  examine: (options: unknown, desired: ReadDocument | null, ports: HostPorts) => Promise<Check[]>;
  /** What is harmless. */
  fix: (options: unknown) => Promise<readonly Mended[]>;
}>;

/** A driver that hangs is told as one that could not be looked at. */
const LIMIT_MS = 60_000;

/** By driver, what is looked at on its host. Only the driver that is asked for is loaded. */
export const EXAMINERS: Readonly<Record<DriverName, Examiner>> = {
  kvm: {
    async examine(options, desired, { root }) {
      const config = checkOptions(KvmConfig, options);
      const { examineKvm } = await import("./examine-kvm.ts");
      return judgeKvm(await examineKvm(config, desired, root));
    },
    async fix(options) {
      const config = checkOptions(KvmConfig, options);
      const { fixKvm } = await import("./kvm-folders.ts");
      return fixKvm(config);
    },
  },
  hyperv: {
    async examine(options, _desired, ports) {
      const config = checkOptions(HypervConfig, options);
      const [{ createHypervDriver }, { checkCmdlets }] = await Promise.all([
        import("#host-agent/drivers/hyperv/driver.ts"),
        import("#host-agent/drivers/hyperv/selftest.ts"),
      ]);
      const driver = createHypervDriver({ ...config, ...ports });
      try {
        return [
          ...(await judgeThrough(driver)),
          judge(
            "cmdlets",
            "the driver works through them",
            await look(() => checkCmdlets(driver, AbortSignal.timeout(LIMIT_MS))),
            (found) => ({ fine: found }),
          ),
          ...(await judgeWindowsFolders(config)),
        ];
      } finally {
        await driver.close();
      }
    },
    // Rights on Windows are lists of their own: docs/runbooks/hyper-v-host.md says which.
    fix: async () => [],
  },
  simulated: {
    async examine(options, _desired, ports) {
      const driver = await openDriver("simulated", options, ports);
      try {
        return await judgeThrough(driver);
      } finally {
        await driver.close();
      }
    },
    fix: async () => [],
  },
};

/** What any driver says of its host. */
async function judgeThrough(driver: VmDriver): Promise<Check[]> {
  const facts = await look(() => driver.facts(AbortSignal.timeout(LIMIT_MS)));
  return [
    judge("hypervisor", "nothing happens to any VM without it", facts, (is: HostFacts) => ({
      fine: is.hypervisorVersion,
    })),
    judge("images", "a host without an image sells nothing with it", facts, ({ images }) =>
      images?.length === 0
        ? { wrong: "none", fix: "put an image there (docs/runbooks/images.md)" }
        : { fine: images?.map(({ file }) => file).join(", ") ?? "it does not say" },
    ),
    judge(
      "image-checksums",
      "VMs' disks lie on the file that was there, and break on another",
      facts,
      ({ images = [] }) => {
        const changed = images.filter((image) => image.changed).map(({ file }) => file);
        return changed.length === 0
          ? { fine: "none has changed under its name" }
          : {
              wrong: `changed under its name: ${changed.join(", ")}`,
              fix: "bring back the old file, byte for byte (docs/runbooks/images.md)",
            };
      },
    ),
  ];
}

const RESERVE_MIB = 1024;

async function judgeWindowsFolders({ root, images }: { root: string; images: string }) {
  const folders = await look(async () => {
    const missing: string[] = [];
    for (const folder of [root, images])
      await stat(folder).catch(() => {
        missing.push(folder);
      });
    return missing;
  });
  const freeMib = await look(async () => {
    const { bavail, bsize } = await statfs(root);
    return Math.floor((bavail * bsize) / 1024 ** 2);
  });
  return [
    judge("folders", "the agent cannot see the host without them", folders, (missing) =>
      missing.length === 0
        ? { fine: "all are there" }
        : {
            wrong: `missing: ${missing.join(", ")}`,
            fix: "make them with the rights that docs/runbooks/hyper-v-host.md names",
          },
    ),
    judge("free-space", "guests stop when it is full", freeMib, (free) =>
      free >= RESERVE_MIB
        ? { fine: `${free} MiB` }
        : { wrong: `${free} MiB are free`, fix: "make room on the volume of the VMs" },
    ),
  ];
}

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { XMLParser } from "fast-xml-parser";
import { z } from "zod";
import type { HostCpu } from "#core/contracts/agent/report.ts";
import type { KvmHost } from "./host.ts";
import { ProgramFailed } from "./run-program.ts";

/**
 * The processor that guests of this host see, with each of its features by name: of the model that libvirt would choose for it
 * (`host-model`, https://libvirt.org/formatdomain.html#cpu-model-and-topology), without what cannot be moved. undefined: libvirt does
 * not say.
 */
export async function readHostCpu(
  { libvirt, log }: Pick<KvmHost, "libvirt" | "log">,
  accelerator: "hardware" | "tcg",
  signal?: AbortSignal,
): Promise<HostCpu | undefined> {
  const of = ["--virttype", accelerator === "hardware" ? "kvm" : "qemu"];
  const folder = await mkdtemp(path.join(tmpdir(), "berth-cpu-"));
  try {
    const file = path.join(folder, "capabilities.xml");
    await writeFile(file, await libvirt.run(["domcapabilities", ...of], { signal }));
    const baseline = ["hypervisor-cpu-baseline", file, "--features", "--migratable", ...of];
    return parseCpu(await libvirt.run(baseline, { signal }));
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    log.info("host_cpu_unknown", { detail: error.stderr });
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: "@",
  parseTagValue: false,
  isArray: (name) => name === "feature",
});
const Cpu = z.object({
  cpu: z.object({
    model: z.union([z.string(), z.object({ "#text": z.string() })]),
    vendor: z.string().optional(),
    feature: z.array(z.object({ "@policy": z.string(), "@name": z.string() })).default([]),
  }),
});

export function parseCpu(xml: string): HostCpu {
  const { model, vendor, feature } = Cpu.parse(parser.parse(xml)).cpu;
  return {
    model: typeof model === "string" ? model : model["#text"],
    ...(vendor !== undefined && { vendor }),
    features: feature
      .filter((each) => each["@policy"] === "require")
      .map((each) => each["@name"])
      .sort(),
  };
}

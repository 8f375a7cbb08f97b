import { randomUUID } from "node:crypto";
import { AgentReport } from "#core/contracts/agent/report.ts";
import { ImageProgress, type WantedImage } from "#core/contracts/agent/images.ts";
import { UsageBatch, type UsageReceipt, type UsageSample } from "#core/contracts/agent/usage.ts";
import { type AgentSession } from "#core/contracts/agent/channel.ts";
import {
  type DesiredDocument,
  type DesiredVm,
  type ReceivedDocument,
} from "#core/contracts/agent/desired.ts";
import { ControlPlaneError, type ControlPlane } from "#host-agent/channel/control-plane.ts";
import { desiredHash } from "#host-agent/converge/desired.ts";

/** What a control plane knows of one host, and how it answers. The agent's side of the port is the real one. */
export type FakeControlPlane = ControlPlane & {
  hostId: string;
  /** Replaces what is desired, in a new generation. */
  want(vms: readonly DesiredVm[]): void;
  /** Changes one VM of what is desired. */
  change(vmId: string, over: Partial<DesiredVm>): void;
  document(): DesiredDocument;
  /** While set, every call fails with it. */
  outage: ControlPlaneError | null;
  /** While set, this is sent instead of the document. */
  sendInstead: ReceivedDocument | null;
  session_: AgentSession;
  reports: AgentReport[];
  wantedImages: WantedImage[];
  /** What the host said of its images. */
  progress: ImageProgress[];
  /** The newest report of a VM. */
  last(vmId: string): AgentReport["vms"][number] | undefined;
  /** Accepted once each, as the real one does. */
  samples: Map<string, UsageSample>;
  pulls: number;
  /** Loses the answer to the next batch of usage, after storing it. */
  loseUsageAnswer: boolean;
};

export const unreachable = () => new ControlPlaneError(null, "unreachable", "down for the test");

export function createFakeControlPlane(graceSeconds = 3600): FakeControlPlane {
  const hostId = randomUUID();
  let vms: readonly DesiredVm[] = [];
  let generation = 0;
  const reached = () => {
    if (plane.outage) throw plane.outage;
  };
  const plane: FakeControlPlane = {
    hostId,
    want(next) {
      vms = next;
      generation += 1;
    },
    change(vmId, over) {
      plane.want(
        vms.map((vm) =>
          vm.vmId === vmId ? { ...vm, ...over, generation: vm.generation + 1 } : vm,
        ),
      );
    },
    document: () => ({
      hostId,
      generation,
      hash: desiredHash(vms),
      entitlementGraceSeconds: graceSeconds,
      vms: [...vms],
    }),
    outage: null,
    sendInstead: null,
    session_: {
      doorbell: null,
      intervals: { resyncSeconds: 30, usageSampleSeconds: 60, usageFlushSeconds: 120 },
    },
    reports: [],
    last: (vmId) =>
      plane.reports
        .flatMap((report) => report.vms)
        .filter((vm) => vm.vmId === vmId)
        .at(-1),
    wantedImages: [],
    progress: [],
    samples: new Map(),
    pulls: 0,
    loseUsageAnswer: false,

    async enroll() {
      reached();
      return { hostId, identityEpoch: 1 };
    },
    async session() {
      reached();
      return plane.session_;
    },
    async desired({ etag }) {
      plane.pulls += 1;
      reached();
      const document = plane.sendInstead ?? plane.document();
      return etag === `${document.generation}-${document.hash}` ? null : structuredClone(document);
    },
    async report(report) {
      reached();
      plane.reports.push(AgentReport.parse(structuredClone(report)));
    },
    async sendUsage(batch) {
      reached();
      let duplicates = 0;
      const refused: UsageReceipt["refused"] = [];
      for (const [index, sample] of UsageBatch.parse(batch).samples.entries()) {
        const boot = `${sample.vmId} ${sample.bootEpoch}`;
        const known = plane.samples.get(`${boot} ${sample.seq}`);
        if (known?.to === sample.to) duplicates += 1;
        else if (known === undefined) plane.samples.set(`${boot} ${sample.seq}`, sample);
        else {
          const taken = [...plane.samples.keys()].filter((key) => key.startsWith(`${boot} `));
          const nextSeq = 1 + Math.max(...taken.map((key) => Number(key.split(" ").at(-1))));
          refused.push({ index, code: "sequence_reused", detail: "", nextSeq });
        }
      }
      if (plane.loseUsageAnswer) {
        plane.loseUsageAnswer = false;
        throw unreachable();
      }
      const stored = batch.samples.length - duplicates - refused.length;
      return { stored, duplicates, refused };
    },
    async images(progress) {
      reached();
      plane.progress.push(ImageProgress.parse(structuredClone(progress)));
      return { images: plane.wantedImages };
    },
    async initialPassword(vmId) {
      reached();
      return `Vm1-${vmId}`;
    },
  };
  return plane;
}

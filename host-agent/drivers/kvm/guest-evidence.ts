import { open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { z } from "zod";
import type { GuestEvidence } from "#core/contracts/agent/report.ts";
import type { Clock } from "#core/ports.ts";
import type { Libvirt } from "./libvirt.ts";
import type { VmFiles } from "./files.ts";

/** A guest that floods its console may not hold up the others: one look reads at most this much. */
const MAX_READ_BYTES = 64 * 1024;
/** A line may have been cut where the last look ended. */
const OVERLAP_BYTES = 1024;
const AGENT_TIMEOUT_SECONDS = 2;
/** A guest agent that did not answer is not asked again for a while. */
const AGENT_PATIENCE_MS = 30_000;

/** A line that says the guest is up is short; what is longer says nothing. */
const MAX_LINE_BYTES = 1024;
/** So many lines that look like it are tried in one look. */
const MAX_TRIED_LINES = 32;

/** "READY <hostname> …" (Berth's test guest) or a getty's "<hostname> login:", from the start of its line. */
const READY = /^(?:READY ([A-Za-z0-9.-]{1,253}) .*|([A-Za-z0-9.-]{1,253}) login:.*)$/;
// oxlint would call control characters in a pattern a mistake; a console is full of them.
const ANSI = new RegExp(String.raw`\u001b\[[0-9;?]*[A-Za-z]`, "g");

/** Where in the console's log a boot begins, and when it did (milliseconds since 1970). */
const BootMark = z.object({
  bootEpoch: z.string(),
  offset: z.int().nonnegative(),
  beganAtMs: z.int(),
});
const HostNameAnswer = z.object({ return: z.object({ "host-name": z.string().min(1).max(253) }) });

type Seen = {
  boot: string;
  readTo: number;
  evidence: GuestEvidence | null;
  agentAskedAt: number | null;
};
type Watched = Readonly<{
  vmId: string;
  bootEpoch: string;
  files: VmFiles;
  agentConnected: boolean;
}>;
export type EvidenceReader = ReturnType<typeof createEvidenceReader>;

/**
 * Says whether a guest is up, from what the guest itself did since its present boot: what it wrote to its serial
 * console, or its answer to the guest agent's question. A hostname here is the guest's own claim.
 */
export function createEvidenceReader({ libvirt, clock }: { libvirt: Libvirt; clock: Clock }) {
  const seen = new Map<string, Seen>();

  return {
    async read(vm: Watched, signal?: AbortSignal): Promise<GuestEvidence | null> {
      const { offset: from, beganAtMs } = await presentBoot(vm);
      const boot = `${vm.bootEpoch}@${from}@${beganAtMs}`;
      const known = seen.get(vm.vmId);
      const now: Seen =
        known?.boot === boot
          ? known
          : // An agent may still answer while the boot before goes down: it is left in peace at first.
            { boot, readTo: from, evidence: null, agentAskedAt: beganAtMs };
      seen.set(vm.vmId, now);
      if (now.evidence !== null) return now.evidence;

      const console = await readConsole(vm.files.console, now.readTo, from);
      now.readTo = console.readTo;
      now.evidence =
        console.hostname === null ? null : { source: "console", hostname: console.hostname };

      const at = clock.now().getTime();
      const mayAsk = now.agentAskedAt === null || at - now.agentAskedAt >= AGENT_PATIENCE_MS;
      if (now.evidence === null && vm.agentConnected && mayAsk) {
        now.agentAskedAt = at;
        now.evidence = await askAgent(libvirt, vm.vmId, signal);
      }
      return now.evidence;
    },

    /**
     * Begins a new boot within the same QEMU process: what the console holds until now proves nothing any more.
     * Written before the reset, and kept on disk, because the agent may die in between.
     */
    async beginBoot(vm: Pick<Watched, "files" | "bootEpoch">): Promise<void> {
      const offset = await stat(vm.files.console).then(
        ({ size }) => size,
        () => 0,
      );
      const mark = { bootEpoch: vm.bootEpoch, offset, beganAtMs: clock.now().getTime() };
      const part = `${vm.files.bootMark}.part`;
      await writeFile(part, JSON.stringify(mark), { mode: 0o600 });
      await rename(part, vm.files.bootMark);
    },

    forget: (vmId: string) => void seen.delete(vmId),
  };
}

/** Where in the console's log the present boot begins, and when it did when we began it. */
async function presentBoot({
  files,
  bootEpoch,
}: Watched): Promise<{ offset: number; beganAtMs: number | null }> {
  try {
    const mark = BootMark.parse(JSON.parse(await readFile(files.bootMark, "utf8")));
    if (mark.bootEpoch === bootEpoch) return mark;
  } catch {
    // None was ever written, or a crash cut it.
  }
  // The log has held this boot alone since the process began.
  return { offset: 0, beganAtMs: null };
}

async function readConsole(
  file: string,
  readTo: number,
  from: number,
): Promise<{ hostname: string | null; readTo: number }> {
  const log = await open(file, "r").catch(() => null);
  if (log === null) return { hostname: null, readTo };
  try {
    const { size } = await log.stat();
    // virtlogd begins a full log anew: what is shorter than what was read is another file.
    const start = size < readTo ? 0 : Math.max(from, readTo - OVERLAP_BYTES, size - MAX_READ_BYTES);
    const { buffer, bytesRead } = await log.read({
      buffer: Buffer.alloc(Math.min(MAX_READ_BYTES, size - start)),
      position: start,
    });
    return {
      hostname: readyHostname(buffer.subarray(0, bytesRead)),
      readTo: start + bytesRead,
    };
  } finally {
    await log.close();
  }
}

/** One of these stands in every line that says the guest is up. */
const MARKS = ["READY ", " login:"];
const NEWLINE = 0x0a;

/**
 * The hostname of the last line that says the guest is up. What the guest writes is its own, and a look may cost the agent
 * little: the marks are searched for in the bytes as they are, and only few lines that hold one are read.
 */
export function readyHostname(text: Buffer): string | null {
  const lastBefore = (end: number) => (mark: string) =>
    end === 0 ? -1 : text.lastIndexOf(mark, end - 1);
  let found = MARKS.map(lastBefore(text.length));
  for (let tried = 0; tried < MAX_TRIED_LINES; tried++) {
    const at = Math.max(...found);
    if (at < 0) return null;
    const begin = text.lastIndexOf(NEWLINE, at) + 1;
    const newline = text.indexOf(NEWLINE, at);
    const end = newline < 0 ? text.length : newline;
    if (end - begin <= MAX_LINE_BYTES) {
      const line = text.toString("utf8", begin, end).replaceAll(ANSI, "").replaceAll("\r", "");
      const [, ready, login] = READY.exec(line.trim()) ?? [];
      const hostname = ready ?? login;
      if (hostname !== undefined) return hostname;
    }
    const before = lastBefore(begin);
    found = found.map((where, n) => (where < begin ? where : before(MARKS[n] ?? "")));
  }
  return null;
}

async function askAgent(
  libvirt: Libvirt,
  vmId: string,
  signal: AbortSignal | undefined,
): Promise<GuestEvidence | null> {
  try {
    const answer = await libvirt.run(
      [
        "qemu-agent-command",
        vmId,
        "--timeout",
        String(AGENT_TIMEOUT_SECONDS),
        '{"execute":"guest-get-host-name"}',
      ],
      { signal, timeoutMs: (AGENT_TIMEOUT_SECONDS + 3) * 1000 },
    );
    const hostname = HostNameAnswer.parse(JSON.parse(answer)).return["host-name"];
    return { source: "guest_agent", hostname };
  } catch (error) {
    // An agent that is silent or talks nonsense is no evidence; it is the guest's, so it is no failure of ours.
    if (signal?.aborted) throw error;
    return null;
  }
}

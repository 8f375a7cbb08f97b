import { DriverError } from "../driver.ts";
import { type Call, ProgramFailed, ProgramMissing, runProgram } from "./run-program.ts";

/**
 * What the driver asks of libvirt, through virsh: it fits the host's own libvirt, modular daemons, polkit and
 * migration flags. One process costs about 20 ms, so that reads are batched; writes are one process each.
 * virsh prints no error codes: after any failure the caller looks again before it decides anything.
 */
export interface Libvirt {
  /** Runs one command. Throws `ProgramFailed` when libvirt refuses it, `hypervisor_unavailable` without libvirt. */
  run(args: readonly string[], call?: Call): Promise<string>;
  /**
   * Several reading commands in one process. Answers each one's output, in order; an empty text for a command
   * that failed (a domain that went away meanwhile).
   */
  read(commands: readonly (readonly string[])[], call?: Call): Promise<string[]>;
  /**
   * The same, and then `last` in the same process, which throws when it fails, as `run` does: for a question whose answer
   * may be nothing. Of a connection that is cut, virsh makes a new one for its next command and ends well.
   */
  readThen(
    commands: readonly (readonly string[])[],
    last: readonly string[],
    call?: Call,
  ): Promise<string[]>;
}

/** `<` never stands twice in XML, and no other output of virsh holds it, so that no guest's text can forge it. */
const SEPARATOR = "<<next>>";
/** Linux takes at most 128 KiB in one argument. */
const MAX_BATCH_CHARS = 100_000;

export function createVirsh(uri: string): Libvirt {
  const virsh = async (args: readonly string[], call?: Call) => {
    try {
      return await runProgram("virsh", ["-q", "-c", uri, ...args], call);
    } catch (error) {
      throw unavailable(error, uri) ?? error;
    }
  };
  /** The exit code is that of the last command; an echo fails only when virsh itself does. */
  const inOneProcess = async (lines: readonly string[], last: string | null, call?: Call) => {
    const line = lines.flatMap((command) => [command, `echo '${SEPARATOR}'`]);
    const parts = (await virsh([[...line, last ?? ""].join(" ; ")], call)).split(SEPARATOR);
    if (parts.length !== lines.length + 1)
      throw new DriverError("hypervisor_unavailable", "virsh ended in the middle of its answer");
    return last === null ? parts.slice(0, -1) : parts;
  };
  return {
    run: virsh,
    read: async (commands, call) => {
      const answers: string[] = [];
      for (const batch of batches(commands.map(plainWords)))
        answers.push(...(await inOneProcess(batch, null, call)));
      return answers;
    },
    readThen: async (commands, last, call) =>
      await inOneProcess(commands.map(plainWords), plainWords(last), call),
  };
}

/** A batch is one line that virsh parses itself: only words that need no quoting may stand in it. */
function plainWords(command: readonly string[]): string {
  for (const word of command)
    if (!/^[A-Za-z0-9_.=-]+$/.test(word)) throw new Error(`not a plain word for virsh: ${word}`);
  return command.join(" ");
}

function* batches(lines: readonly string[]): Generator<string[]> {
  let batch: string[] = [];
  let chars = 0;
  for (const line of lines) {
    if (batch.length > 0 && chars + line.length > MAX_BATCH_CHARS) {
      yield batch;
      batch = [];
      chars = 0;
    }
    batch.push(line);
    chars += line.length + SEPARATOR.length + 12;
  }
  if (batch.length > 0) yield batch;
}

/** A missing libvirt in one sentence that says what to do about it; undefined for any other failure. */
function unavailable(error: unknown, uri: string): DriverError | undefined {
  if (error instanceof ProgramMissing)
    return new DriverError(
      "hypervisor_unavailable",
      "virsh is not installed: install the packages libvirt-clients and libvirt-daemon-system",
      { cause: error },
    );
  if (error instanceof ProgramFailed && NO_CONNECTION.test(error.stderr))
    return new DriverError(
      "hypervisor_unavailable",
      `libvirt does not answer at ${uri}: start it (systemctl start libvirtd, or scripts/start-libvirt.sh)`,
      { cause: error },
    );
  return undefined;
}
const NO_CONNECTION =
  /failed to (re)?connect to the hypervisor|Failed to connect socket|no valid connection|Cannot (recv|write) data|End of file while reading data|client socket is closed/i;

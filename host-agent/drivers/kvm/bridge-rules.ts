import { ProgramFailed, runProgram, type Call } from "./run-program.ts";

/** Beside one that changes rules without a pause nearly every second look fails (measured with ebtables 1.8.9). */
const LOOKS = 12;

/**
 * The rules of the host's bridges, as `ebtables -L` tells them. On nf_tables a look is a transaction of its own, which the
 * kernel refuses when somebody else changes rules meanwhile, as libvirt does at every start of a VM: so it is tried again.
 * Throws what `runProgram` throws, when that stays so.
 */
export async function listBridgeRules(call: Call = {}): Promise<string> {
  for (let left = LOOKS - 1; ; left--)
    try {
      return await runProgram("ebtables", ["--concurrent", "-t", "nat", "-L", "--Lmac2"], call);
    } catch (error) {
      if (!(error instanceof ProgramFailed) || left === 0) throw error;
    }
}

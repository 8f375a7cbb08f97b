import { ApiError } from "./api-error.ts";

/** `POST /v1/refunds` and the like. `done`: the work is done all the same, and only its answer is a 500. */
export type CallFault = Readonly<{ call: string; count: number; done: boolean }>;

/** Calls that are to be answered with a 500. What is armed is forgotten when the stand-in ends. */
export class CallFaults {
  #faults: CallFault[] = [];

  arm(fault: CallFault): void {
    this.#faults.push(fault);
  }

  /** Does the call's work, or what an armed fault makes of it; the fault's count goes down by one. */
  run(call: string, work: () => object): object {
    const fault = this.#use(call);
    if (fault === undefined) return work();
    if (fault.done) work();
    throw new ApiError(500, {
      type: "api_error",
      message: "An unknown error occurred: the local stand-in was told to fail this call.",
    });
  }

  #use(call: string): CallFault | undefined {
    const fault = this.#faults.find((each) => each.call === call);
    if (fault === undefined) return undefined;
    const left = fault.count > 1 ? [{ ...fault, count: fault.count - 1 }] : [];
    this.#faults = this.#faults.flatMap((each) => (each === fault ? left : [each]));
    return fault;
  }
}

import { afterAll, afterEach } from "vitest";
import { takeMisfits } from "./judged-stripe.ts";

/** Before each file of tests: what its stand-ins are asked, answer and send must be as Stripe has it. */
async function failOnMisfits(): Promise<void> {
  const misfits = await takeMisfits();
  if (misfits.length > 0)
    throw new Error(`not as Stripe's own description has it:\n${misfits.join("\n")}`);
}
afterEach(failOnMisfits);
afterAll(failOnMisfits);

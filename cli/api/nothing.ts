import { z } from "zod";

/** An answer without a body. */
export const Nothing = z.null();

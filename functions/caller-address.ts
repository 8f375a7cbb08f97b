import { CALLER_ADDRESS_HEADER } from "#core/network/entrance-headers.ts";

/** Undefined where nothing stands before the API that saw it, as on one's own machine. */
export const callerAddressOf = (headers: Headers): string | undefined =>
  headers.get(CALLER_ADDRESS_HEADER) ?? undefined;

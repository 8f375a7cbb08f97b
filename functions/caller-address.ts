import type { LambdaEvent } from "hono/aws-lambda";

/** The one address that a request came from, as API Gateway saw it. Nobody else's word is taken: see below. */
const CALLER_ADDRESS = "x-berth-client-ip";

/** A Lambda's event with its caller's address, for the limits that count by it; whatever the client sent is overwritten. */
export function withCallerAddress(event: LambdaEvent): LambdaEvent {
  if (event.headers && "http" in event.requestContext)
    event.headers[CALLER_ADDRESS] = event.requestContext.http.sourceIp;
  return event;
}

/** Undefined where nothing stands before the API that saw it, as on one's own machine. */
export const callerAddressOf = (headers: Headers): string | undefined =>
  headers.get(CALLER_ADDRESS) ?? undefined;

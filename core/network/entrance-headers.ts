/** What CloudFront sends with each request and nobody else knows (`cdk/constructs/front.ts`, `commands/entrance.ts`). */
export const ENTRANCE_HEADER = "x-berth-entrance";
/** The address of whom CloudFront speaks with. */
export const VIEWER_HEADER = "x-berth-viewer";
/** The same, behind the entrance: the one address that a request came from. */
export const CALLER_ADDRESS_HEADER = "x-berth-client-ip";

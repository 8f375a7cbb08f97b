import type { ReportSerial } from "#core/contracts/agent/report.ts";

/**
 * Whether a report came after the last one that counted: of a later life of the agent, or later in the same. One that is
 * sent again byte for byte is not newer than itself (4b B4).
 */
export const isNewer = (serial: ReportSerial, last: ReportSerial | null): boolean =>
  last === null ||
  serial.process > last.process ||
  (serial.process === last.process && serial.seq > last.seq);

import { Logger } from "@aws-lambda-powertools/logger";
import { withShortTexts } from "#core/log-fields.ts";
import type { Log } from "#core/ports.ts";

/** JSON lines for CloudWatch, one for each unit of work. */
export function createLog(service: string): Log {
  const logger = new Logger({ serviceName: service });
  const write = (level: "info" | "error") => (event: string, fields: Record<string, unknown>) => {
    const { error, ...rest } = fields;
    logger[level](event, { ...withShortTexts(rest), ...(error instanceof Error ? { error } : {}) });
  };
  return { info: write("info"), error: write("error") };
}

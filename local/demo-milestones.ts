import type { Log } from "#core/ports.ts";

/** When things happened inside the stack, by the first log line that says so. */
export type Milestones = Readonly<{
  watch: (inner: Log) => Log;
  at: (name: string) => number | undefined;
}>;

function milestoneOf(event: string, fields: Record<string, unknown>): string | undefined {
  switch (event) {
    case "billing_event.apply":
      return fields["result"] === "fulfilled" ? "placed" : undefined;
    case "agent.desired_accepted":
      return typeof fields["vms"] === "number" && fields["vms"] > 0 ? "doorbell" : undefined;
    case "agent.vm_step":
      if (fields["outcome"] !== "done") return undefined;
      return fields["step"] === "create"
        ? "defined"
        : fields["step"] === "start"
          ? "started"
          : undefined;
    default:
      return undefined;
  }
}

export function watchMilestones(): Milestones {
  const seen = new Map<string, number>();
  const note = (event: string, fields: Record<string, unknown>) => {
    const name = milestoneOf(event, fields);
    if (name !== undefined && !seen.has(name)) seen.set(name, performance.now());
  };
  return {
    at: (name) => seen.get(name),
    watch: (inner) => ({
      info: (event, fields) => {
        note(event, fields);
        inner.info(event, fields);
      },
      error: (event, fields) => {
        note(event, fields);
        inner.error(event, fields);
      },
    }),
  };
}

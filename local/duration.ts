const ISO_DURATION =
  /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** The instant that lies an ISO 8601 duration after `from`; undefined when the text is no such duration. */
export function addDuration(from: Date, duration: string): Date | undefined {
  const m = ISO_DURATION.exec(duration);
  if (!m || m.slice(1).every((part) => part === undefined) || duration.endsWith("T"))
    return undefined;
  const [years, months, weeks, days, hours, minutes, seconds] = m
    .slice(1)
    .map((part) => Number(part ?? 0));
  const at = new Date(from);
  at.setUTCMonth(at.getUTCMonth() + (years ?? 0) * 12 + (months ?? 0));
  const ms =
    ((((weeks ?? 0) * 7 + (days ?? 0)) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60_000 +
    (seconds ?? 0) * 1000;
  return new Date(+at + ms);
}

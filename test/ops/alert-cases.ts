/** Series as promtool writes them, one value a minute. */
type Series = Readonly<Record<string, string>>;

/** For an hour all of it stands still. */
const HOUR = "x60";
const always = (value: number) => `${value}${HOUR}`;
const plane = (name: string, labels = "") =>
  `${name}{job="berth-control-plane",instance="p"${labels}}`;
const agent = (name: string, labels = "") =>
  `${name}{job="berth-agent",instance="host-1"${labels}}`;

/** A histogram of which `perMinute` more come each minute, all of them between `below` and `upTo`. */
const growing = (
  name: string,
  {
    below,
    upTo,
    perMinute,
    labels = "",
  }: { below: string; upTo: string; perMinute: number; labels?: string },
): Series => ({
  [plane(`${name}_bucket`, `${labels},le="${below}"`)]: always(0),
  [plane(`${name}_bucket`, `${labels},le="${upTo}"`)]: `0+${perMinute}${HOUR}`,
  [plane(`${name}_bucket`, `${labels},le="+Inf"`)]: `0+${perMinute}${HOUR}`,
});
const orders = (refundingAMinute: number, paidAMinute: number): Series => ({
  [plane("berth_orders_total", ',state="refunding"')]: `0+${refundingAMinute}${HOUR}`,
  [plane("berth_orders_total", ',state="paid"')]: `0+${paidAMinute}${HOUR}`,
});
const lag = (below: string, upTo: string) =>
  growing("berth_queue_lag_seconds", { below, upTo, perMinute: 9, labels: ',queue="purchases"' });

/** By alert: what makes it fire within the hour, and what is near to that and does not. */
export const ALERT_CASES: Readonly<Record<string, { ill: Series; well: Series }>> = {
  BerthControlPlaneNotScraped: {
    ill: { [plane("up")]: "1x20 0x40" },
    // A restart takes less than five minutes.
    well: { [plane("up")]: "1x30 0x2 1x28" },
  },
  BerthHostSilent: {
    ill: { [plane("berth_hosts_silent")]: "0x50 2x10" },
    well: { [plane("berth_hosts_silent")]: always(0) },
  },
  BerthFindingUrgent: {
    ill: { [plane("berth_findings_open", ',kind="hypervisor_away"')]: "0x50 1x10" },
    well: { [plane("berth_findings_open", ',kind="vm_lost"')]: always(0) },
  },
  BerthFindingOpen: {
    ill: { [plane("berth_findings_open", ',kind="step_failing"')]: "0x50 3x10" },
    // Two other alerts tell of these.
    well: { [plane("berth_findings_open", ',kind="host_silent"')]: "0x50 4x10" },
  },
  BerthOutboxStuck: {
    ill: { [plane("berth_outbox_unsent_age_seconds")]: `0x30 0+60x30` },
    well: { [plane("berth_outbox_unsent_age_seconds")]: always(59) },
  },
  BerthPaymentUnhandled: {
    ill: { [plane("berth_inbox_unhandled")]: "0x50 1x10" },
    well: { [plane("berth_inbox_unhandled")]: always(0) },
  },
  BerthInboxStuck: {
    ill: { [plane("berth_inbox_unapplied_age_seconds")]: "0x20 0+60x40" },
    // The provider was away for some minutes.
    well: { [plane("berth_inbox_unapplied_age_seconds")]: "0x40 0+60x9 0x10" },
  },
  BerthMailStuck: {
    ill: { [plane("berth_mail_waiting_age_seconds")]: "0x20 0+60x60" },
    // The mail server was away for some minutes.
    well: { [plane("berth_mail_waiting_age_seconds")]: "0x20 0+60x20 0x30" },
  },
  BerthProvisioningSlow: {
    ill: growing("berth_provisioning_seconds", { below: "120", upTo: "300", perMinute: 1 }),
    well: growing("berth_provisioning_seconds", { below: "20", upTo: "30", perMinute: 1 }),
  },
  BerthOrderUndelivered: {
    ill: { [plane("berth_order_undelivered_age_seconds")]: "0x30 0+60x30" },
    well: { [plane("berth_order_undelivered_age_seconds")]: always(599) },
  },
  BerthRefundsRising: {
    ill: orders(1, 2),
    // As many, of many more.
    well: orders(1, 100),
  },
  BerthRefundFailed: {
    ill: { [plane("berth_payments_total", ',outcome="refund_failed"')]: "0x50 1x10" },
    // One that was counted long before.
    well: { [plane("berth_payments_total", ',outcome="refund_failed"')]: always(1) },
  },
  BerthDoorbellsLate: {
    ill: growing("berth_doorbell_lag_seconds", { below: "60", upTo: "120", perMinute: 5 }),
    well: growing("berth_doorbell_lag_seconds", { below: "1", upTo: "5", perMinute: 5 }),
  },
  BerthQueueLag: {
    ill: lag("60", "300"),
    well: lag("5", "10"),
  },
  BerthUsageDelayed: {
    ill: growing("berth_usage_delay_seconds", { below: "3600", upTo: "21600", perMinute: 1 }),
    well: growing("berth_usage_delay_seconds", { below: "300", upTo: "600", perMinute: 1 }),
  },
  BerthAgentNotScraped: {
    ill: { [agent("up")]: "1x50 0x10" },
    well: { [agent("up")]: "1x30 0x2 1x28" },
  },
  BerthAgentReportOld: {
    ill: { [agent("berth_agent_report_age_seconds")]: "5x40 0+60x20" },
    well: { [agent("berth_agent_report_age_seconds")]: always(75) },
  },
  BerthAgentPassesStopped: {
    ill: { [agent("berth_agent_passes_total", ',outcome="whole"')]: "0+1x30 30x30" },
    well: { [agent("berth_agent_passes_total", ',outcome="whole"')]: `0+1${HOUR}` },
  },
  BerthAgentHypervisorAway: {
    ill: { [agent("berth_agent_errors_total", ',code="hypervisor_unavailable"')]: "0x40 0+1x20" },
    well: { [agent("berth_agent_errors_total", ',code="hypervisor_unavailable"')]: "0x57 2x3" },
  },
  BerthAgentStepsFailing: {
    ill: { [agent("berth_agent_steps_total", ',step="create",outcome="failed"')]: "0x30 0+1x30" },
    well: { [agent("berth_agent_steps_total", ',step="create",outcome="done"')]: `0+5${HOUR}` },
  },
  BerthAgentSpoolGrowing: {
    ill: {
      [agent("berth_agent_spool_oldest_sample_age_seconds")]: `0+60${HOUR}`,
      [agent("berth_agent_spool_samples")]: `0+50${HOUR}`,
    },
    // The control plane is back, and takes one batch after another.
    well: {
      [agent("berth_agent_spool_oldest_sample_age_seconds")]: always(7200),
      [agent("berth_agent_spool_samples")]: `9000-100${HOUR}`,
    },
  },
  BerthAgentClockOff: {
    ill: { [agent("berth_agent_clock_offset_seconds")]: `0x40 -45x20` },
    well: { [agent("berth_agent_clock_offset_seconds")]: always(-12) },
  },
};

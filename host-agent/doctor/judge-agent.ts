import type { ConfigFile } from "#host-agent/config-file.ts";
import type { AgentStatus } from "#host-agent/state/status-notes.ts";
import { judge, type Check, type Looked } from "./check.ts";

/** What a doctor saw of the agent itself, and of the way to its control plane. */
export type AgentFacts = Readonly<{
  now: Date;
  /** Of the agent that is installed, and that examines. */
  agentVersion: string;
  nodeVersion: string;
  config: ConfigFile;
  /** Options that nothing gives: `api`, `state-dir`, `driver`. */
  missing: readonly string[];
  /** `mode` null: it is not there. */
  stateFolder: Looked<{ path: string; mode: number | null }>;
  /** What the agent's own readers said of its files. */
  corrupt: Looked<readonly string[]>;
  agents: Looked<{ mine: boolean; others: number }>;
  /** null: no agent that writes one has run. */
  status: Looked<AgentStatus | null>;
  spool: Looked<SpoolFacts>;
  hostId: Looked<string | null>;
  addresses: Looked<readonly string[]>;
  /** null: plain http, to this machine. */
  certificate: Looked<{ validTo: Date } | null>;
  plane: Looked<{ status: number; time: Date | null; askedAt: Date }>;
  /** Where images are served to other hosts; null: nowhere. */
  serving: Looked<ServingFacts | null>;
  /** What the control plane answered to this host's own key: null for yes, or its code. */
  accepted: Looked<{ code: string; detail: string } | null>;
}>;
export type ServingFacts = Readonly<{
  listen: string;
  /** Whether an interface of this host has the address. */
  hasAddress: boolean;
  /** What is answered there to whoever shows no token; null: nothing. */
  status: number | null;
}>;
export type SpoolFacts = Readonly<{ pages: number; oldest: Date | null; refused: number }>;

const OLDEST_NODE = 20;
/** After so long without a report the control plane calls a host silent, and gives it no VMs (`core/hosts/`). */
const SILENT_MS = 5 * 60_000;
/** Usage is sent every five minutes: what has lain for longer was tried many times. */
const USAGE_LATE_MS = 3_600_000;
/** As an agent answers who shows no token for an image. */
const UNKNOWN_ASKER = 401;
const CERTIFICATE_DAYS = 14;
/** As `channel/plane-time.ts` has it: more is corrected, and told. */
const CLOCK_OFF_SECONDS = 5;
const DAY_MS = 86_400_000;

/** Everything of the agent's own. Names are stable: scripts go by them. */
export function judgeAgent(facts: AgentFacts): Check[] {
  return [...judgeProgram(facts), ...judgeState(facts), ...judgeWay(facts)];
}

function judgeProgram({ config, missing, nodeVersion, ...facts }: AgentFacts): Check[] {
  return [
    judge("config-file", "the agent does not start without it", { seen: config }, (file) => {
      if (file.faults.length > 0)
        return { wrong: file.faults.join("; "), fix: `correct these lines of ${file.path}` };
      if (missing.length > 0)
        return {
          wrong: `nothing says ${missing.join(", ")}`,
          fix: `write it into ${file.path}, or give it on the command line (berth-agent --help)`,
        };
      return { fine: file.isThere ? `${file.path} is well-formed` : "all on the command line" };
    }),
    judge(
      "node-version",
      "the agent is not tried on older ones",
      { seen: nodeVersion },
      (version) =>
        Number.parseInt(version, 10) >= OLDEST_NODE
          ? { fine: version }
          : {
              wrong: version,
              fix: `run it with Node ${OLDEST_NODE} or newer; 24 is what it ships with`,
            },
    ),
    judge(
      "agent-running",
      "nobody starts, stops or meters the VMs of this host",
      facts.agents,
      (all) =>
        all.mine
          ? { fine: "an agent works on this state folder" }
          : {
              wrong: "no agent works on this state folder",
              fix: "systemctl start berth-agent (its log: journalctl -u berth-agent)",
            },
    ),
    judge(
      "one-agent",
      "two agents on one hypervisor work against each other",
      facts.agents,
      (all) =>
        all.others === 0
          ? { fine: "no other agent runs on this host" }
          : {
              wrong: `${all.others} more on other state folders`,
              fix: "stop the others: ps -ef | grep berth-agent",
            },
    ),
    judge(
      "agent-version",
      "what was installed works only once the agent is restarted",
      facts.status,
      (status) =>
        status === null || status.version === facts.agentVersion
          ? { fine: facts.agentVersion }
          : {
              wrong: `${status.version} was started last, and ${facts.agentVersion} is installed`,
              fix: "systemctl restart berth-agent: VMs run on meanwhile",
            },
    ),
  ];
}

function judgeState(facts: AgentFacts): Check[] {
  return [
    judge(
      "state-folder",
      "it holds this host's key, and passwords on their way",
      facts.stateFolder,
      ({ path, mode }) => {
        if (mode === null)
          return { wrong: `${path} is not there`, fix: `mkdir -m 0700 ${path}, or doctor --fix` };
        return (mode & 0o077) === 0
          ? { fine: `${path} is its owner's alone` }
          : {
              wrong: `others may enter ${path} (${octal(mode)})`,
              fix: `chmod 0700 ${path}, or doctor --fix`,
            };
      },
    ),
    judge(
      "state-files",
      "the agent ends with exit code 4 instead of guessing",
      facts.corrupt,
      (faults) =>
        faults.length === 0
          ? { fine: "all can be read" }
          : {
              wrong: faults.join("; "),
              fix: "docs/runbooks/host-lost.md says what each file's loss costs; move it away and start the agent",
            },
    ),
    judge(
      "identity",
      "without a key the control plane takes this host for nobody",
      facts.hostId,
      (hostId) =>
        hostId !== null
          ? { fine: `enrolled as ${hostId}` }
          : {
              wrong: "this host is not enrolled",
              fix: "take a join token (POST /staff/v1/hosts/{id}/join-tokens), then berth-agent enroll --join-token-file FILE",
            },
    ),
    judge(
      "last-report",
      "a host that is silent gets no VMs, and customers see unknown",
      facts.status,
      (status) => {
        const report = status?.lastReport ?? null;
        const error = status?.reportError ? ` (${status.reportError.error})` : "";
        const fix =
          "see the checks of the way to the control plane, and report_failed in the agent's log";
        if (report === null) return { wrong: `none was acknowledged yet${error}`, fix };
        const ageMs = facts.now.getTime() - Date.parse(report.at);
        const said = `acknowledged ${seconds(ageMs)} ago`;
        return ageMs <= SILENT_MS ? { fine: said } : { wrong: `${said}${error}`, fix };
      },
    ),
    judge("spool", "what is not sent is not billed", facts.spool, ({ pages, oldest }) => {
      const ageMs = oldest === null ? 0 : facts.now.getTime() - oldest.getTime();
      const said =
        pages === 0 ? "nothing waits" : `${pages} pages wait, the oldest for ${seconds(ageMs)}`;
      return ageMs <= USAGE_LATE_MS
        ? { fine: said }
        : { wrong: said, fix: "usage_flush_failed in the agent's log says why it is not taken" };
    }),
    judge(
      "spool-refused",
      "refused usage is given up after two weeks of it",
      facts.spool,
      ({ refused }) =>
        refused === 0
          ? { fine: "none" }
          : {
              wrong: `${refused} pages of samples were refused`,
              fix: "usage_sample_refused in the agent's log has their reasons; they are sent again by themselves",
            },
    ),
  ];
}

function judgeWay(facts: AgentFacts): Check[] {
  return [
    judge("dns", "the agent finds its control plane by name", facts.addresses, (addresses) => ({
      fine: addresses.join(", "),
    })),
    judge(
      "tls",
      "the agent talks to nobody whose certificate is not good",
      facts.certificate,
      (found) => {
        if (found === null) return { fine: "plain http, to this machine itself" };
        const days = Math.floor((found.validTo.getTime() - facts.now.getTime()) / DAY_MS);
        return days >= CERTIFICATE_DAYS
          ? { fine: `good for ${days} days` }
          : {
              wrong: `its certificate ends in ${days} days`,
              fix: "tell whoever runs the control plane",
            };
      },
    ),
    judge(
      "control-plane",
      "without it nothing new is begun, and entitlements run out after three days",
      facts.plane,
      ({ status }) =>
        // It does not know who asks, and says so: 401. What a broken gateway says is none of its own.
        status < 500 && status !== 404
          ? { fine: `answers (${status})` }
          : {
              wrong: `answers ${status}`,
              fix:
                status === 404
                  ? "the URL of --api is not that of Berth's API"
                  : "look at its health",
            },
    ),
    judge(
      "clock",
      "far-off clocks sign requests that are refused, and date usage wrongly",
      facts.plane,
      ({ time, askedAt }) => {
        if (time === null)
          return {
            wrong: "its answer bears no Date",
            fix: "a proxy between takes it out: let it through",
          };
        const off = Math.round((askedAt.getTime() - time.getTime()) / 1000);
        const said = `${Math.abs(off)} s ${off >= 0 ? "ahead of" : "behind"} the control plane's`;
        return Math.abs(off) <= CLOCK_OFF_SECONDS
          ? { fine: said }
          : {
              wrong: said,
              fix: "set the clock by NTP: timedatectl set-ntp true (chrony, systemd-timesyncd)",
            };
      },
    ),
    judge(
      "image-serving",
      "hosts near fetch their images from here, and else over the line to the internet",
      facts.serving,
      (serving) => {
        if (serving === null) return { fine: "off (serveImages)" };
        const { listen, hasAddress, status } = serving;
        if (!hasAddress)
          return {
            wrong: `no interface of this host has the address of ${listen}`,
            fix: "let serveImages.listen name one of this host's own (ip address), or bring its interface up",
          };
        if (status === UNKNOWN_ASKER) return { fine: `answers at ${listen}` };
        return {
          wrong: status === null ? `nothing answers at ${listen}` : `${listen} answers ${status}`,
          fix: "image_serving_failed in the agent's log says why; another program may have the port (ss -ltnp). The agent listens once it has run for ten seconds",
        };
      },
    ),
    judge(
      "identity-accepted",
      "a key that was replaced or withdrawn opens nothing",
      facts.accepted,
      (refusal) =>
        refusal === null
          ? { fine: "the control plane knows this host's key" }
          : {
              wrong: `${refusal.code}: ${refusal.detail}`,
              fix:
                refusal.code === "identity_revoked"
                  ? "enrol again (docs/runbooks/host-lost.md)"
                  : "see the other checks of the control plane and of the clock",
            },
    ),
  ];
}

const octal = (mode: number): string => `0${(mode & 0o7777).toString(8)}`;

/** Three units are enough to know whether to hurry. */
function seconds(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

import { chmod, mkdir } from "node:fs/promises";
import type { DoctorOptions } from "#host-agent/cli.ts";
import type { Log } from "#core/ports.ts";
import { readDriverOptions } from "#host-agent/read-driver-options.ts";
import { judge, look, unseen, type Check } from "./check.ts";
import { examineAgent, folderMode, type DoctorPorts } from "./examine-agent.ts";
import { EXAMINERS, type Mended } from "./examine-host.ts";
import { judgeAgent } from "./judge-agent.ts";
import { readState, type StateRead } from "./read-state.ts";

const QUIET: Log = { info: () => undefined, error: () => undefined };

/**
 * Looks at everything on this host that Berth needs, and changes nothing; with `options.fix` it first mends what is harmless,
 * and each check then says what was mended. What could not be looked at is not well.
 */
export async function examine(options: DoctorOptions, ports: DoctorPorts): Promise<Check[]> {
  const mended = options.fix ? await mend(options) : [];
  const { stateDir } = options;
  const state = stateDir === null ? null : await readState(stateDir, ports.clock, ports.root);
  const checks = [
    ...judgeAgent(await examineAgent(options, state, ports)),
    ...(await examineHost(options, state, ports)),
  ];
  return checks.map((check) => {
    const did = mended.filter((one) => one.check === check.name).map((one) => one.did);
    return did.length === 0
      ? check
      : { ...check, found: `${check.found} (mended now: ${did.join("; ")})` };
  });
}

async function examineHost(
  { driver }: DoctorOptions,
  state: StateRead | null,
  { clock, ids, agentVersion, root }: DoctorPorts,
): Promise<Check[]> {
  const desired = state !== null && "seen" in state.desired ? state.desired.seen : null;
  const checks = await look(async () => {
    if (driver === null) throw new Error("no driver is named");
    const options = await readDriverOptions(driver);
    const ports = { clock, ids, log: QUIET, agentVersion, root };
    return EXAMINERS[driver.driver].examine(options, desired, ports);
  });
  const why = "the agent does not start without them";
  const of = (looked: typeof checks) =>
    judge("driver-options", why, looked, () => ({ fine: `${driver?.driver}: well-formed` }));
  if ("seen" in checks) return [of(checks), ...checks.seen];
  return [of(unseen(checks.unseen))];
}

async function mend({ stateDir, driver }: DoctorOptions): Promise<readonly Mended[]> {
  const ofState = stateDir === null ? [] : await mendState(stateDir);
  // Options that are wrong are told by their check.
  const ofHost = await look(async () =>
    driver === null ? [] : EXAMINERS[driver.driver].fix(await readDriverOptions(driver)),
  );
  return [...ofState, ...("seen" in ofHost ? ofHost.seen : [])];
}

async function mendState(folder: string): Promise<readonly Mended[]> {
  const check = "state-folder";
  const mode = await look(() => folderMode(folder));
  if ("unseen" in mode) return [];
  if (mode.seen === null) {
    const made = await look(() => mkdir(folder, { mode: 0o700 }));
    return "seen" in made ? [{ check, did: `made ${folder} (0700)` }] : [];
  }
  if ((mode.seen & 0o077) === 0) return [];
  await chmod(folder, 0o700);
  return [{ check, did: `took ${folder} from others` }];
}

/** For people: one line a check, and under each that is not well why it matters and what to do. */
export function checksAsText(checks: readonly Check[]): string {
  const lines = checks.flatMap(({ name, ok, found, why, fix }) =>
    ok
      ? [`ok     ${name}: ${found}`]
      : [
          `WRONG  ${name}: ${found}`,
          `         why it matters: ${why}`,
          `         what to do: ${fix}`,
        ],
  );
  const wrong = checks.filter(({ ok }) => !ok).length;
  const sum =
    wrong === 0 ? `all ${checks.length} are well` : `${wrong} of ${checks.length} are not well`;
  return `${[...lines, sum].join("\n")}\n`;
}

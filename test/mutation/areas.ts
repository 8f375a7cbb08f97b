/**
 * What `npm run mutate` plants mistakes in, and what is to notice them. Elsewhere than in `core/` and `adapters/` the
 * tests are dear (each mutant is a run against Postgres), so mutants are drawn there.
 */
export type Area = Readonly<{
  /** Where mutants are planted: globs from the project's root; "!" takes away. */
  mutate: readonly string[];
  /** The files of tests that may catch them. */
  tests: readonly string[];
  postgres: boolean;
  /** How many mutants are drawn; null for all. */
  drawn: number | null;
  /** The least score, in per cent; null where it is only printed. */
  goal: number | null;
}>;

const LOG_INS = "adapters/log-ins{,-auth}.ts";
const AGENT_TESTS = "test/unit/agent-*.test.ts";

export const AREAS: Readonly<Record<string, Area>> = {
  core: {
    mutate: ["core/**/*.ts", "!core/contracts/**", "!core/**/*.test.ts"],
    tests: ["core/**/*.test.ts", AGENT_TESTS],
    postgres: false,
    drawn: null,
    goal: 85,
  },
  // Nearly all of these act when a file loads, and so each needs all the tests of its area: those that name a contract.
  contracts: {
    mutate: ["core/contracts/**/*.ts", "!core/contracts/**/*.test.ts"],
    tests: ["core/contracts/**/*.test.ts", "test/unit/{api-document,agent-wire}.test.ts"],
    postgres: false,
    drawn: null,
    goal: 85,
  },
  adapters: {
    mutate: ["adapters/**/*.ts", "!adapters/**/*.test.ts", `!${LOG_INS}`],
    tests: ["adapters/**/*.test.ts"],
    postgres: false,
    drawn: null,
    goal: 85,
  },
  // better-auth over our tables: what it does with them shows on Postgres only.
  "log-ins": {
    mutate: [LOG_INS],
    tests: ["adapters/log-ins*.test.ts", "test/db/accounts/**/*.test.ts"],
    postgres: true,
    drawn: null,
    goal: 85,
  },
  commands: {
    mutate: ["commands/**/*.ts"],
    tests: [
      "test/db/{accounts,billing,catalogue,fleet,hosts,messages,network,orders,usage,vms}/**/*.test.ts",
      "test/db/fairness.test.ts",
      "test/compat/desired-document.test.ts",
      "test/unit/{page,unit-of-work}.test.ts",
    ],
    postgres: true,
    drawn: 300,
    goal: null,
  },
  agent: {
    mutate: ["host-agent/{converge,meter,channel}/**/*.ts", "!host-agent/**/*.test.ts"],
    tests: [AGENT_TESTS, "host-agent/{converge,meter,channel}/**/*.test.ts"],
    postgres: false,
    drawn: 300,
    goal: null,
  },
  drivers: {
    mutate: [
      "host-agent/drivers/*.ts",
      "host-agent/drivers/kvm/{boot-epoch,domain-xml,guest-evidence,host-facts,parse-domain,read-counters,seed-iso,tag}.ts",
      "host-agent/drivers/hyperv/{answers,disk-sums,options,seed-image,states}.ts",
      "!host-agent/**/*.test.ts",
    ],
    // Not those that start agents as processes of their own: no mistake that is planted here reaches them.
    tests: [
      AGENT_TESTS,
      "host-agent/**/*.test.ts",
      "test/drivers/{simulated,hostile-kvm}.test.ts",
      "test/hyperv/{first-boot,wire}.test.ts",
    ],
    postgres: false,
    drawn: 300,
    goal: null,
  },
};

import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { COMMANDS, GROUPS } from "#cli/commands/all.ts";
import { EXIT, kindOfRefusal } from "#cli/exit-codes.ts";
import { optionName } from "#cli/program.ts";
import { RANGE } from "#cli/pages.ts";
import { wayOutOf } from "#cli/way-out.ts";
import { PROBLEM_CODES, STATUS_BY_CODE } from "#core/contracts/problem.ts";

const page = readFileSync(path.join(import.meta.dirname, "../../docs/cli.md"), "utf8");
const rows = page.split("\n").filter((line) => line.startsWith("| `berth "));

describe("docs/cli.md (6a item 7)", () => {
  it.each(COMMANDS.map((command) => [command.words, command] as const))(
    "has a row for berth %s, with what it takes",
    (words, { also, staff, args, options }) => {
      const taken = Object.entries(args).map(([key, { value, required }]) =>
        required ? `<${value ?? key}>` : `[${value ?? key}]`,
      );
      const usage = `| \`berth ${[words, ...taken].join(" ")}\` |`;
      const row = rows.find((line) => line.startsWith(usage) && line.split("|").length === 5);
      expect(rows.join("\n")).toContain(usage);
      const isList = "cursor" in options;
      const own = Object.entries(options).filter(([key]) => !isList || !(key in RANGE));
      for (const [key, { value }] of own)
        expect(row).toContain(`\`--${optionName(key)}${value === null ? "" : ` <${value}>`}\``);
      for (const choice of Object.values(args).flatMap(({ choices }) => choices ?? []))
        expect(row).toContain(`\`${choice}\``);
      expect(row?.includes("(staff)")).toBe(staff);
      expect(row?.includes("a list's")).toBe(isList);
      expect(row).toContain(also === undefined ? "" : `\`berth ${also}\``);
    },
  );

  it("has no command that is not there", () => {
    const known = new Set(COMMANDS.map(({ words }) => words));
    const named = rows.map((line) => /^\| `berth ([a-z -]*[a-z])/.exec(line)?.[1] ?? line);
    expect(named.filter((words) => !known.has(words))).toEqual([]);
  });

  it("has a row for every exit code", () => {
    for (const code of Object.values(EXIT))
      expect(page).toMatch(new RegExp(`^\\| ${code} \\| `, "m"));
  });
});

describe("the table of commands", () => {
  it("has each command once, in a group that is told", () => {
    const all = COMMANDS.flatMap(({ words, also }) => [
      words,
      ...(also === undefined ? [] : [also]),
    ]);
    expect(new Set(all).size).toBe(all.length);
    const groups = all.filter((words) => words.includes(" ")).map((words) => words.split(" ")[0]);
    expect(new Set(groups)).toEqual(new Set(Object.keys(GROUPS)));
  });

  it("asks before what destroys", () => {
    const destroys = [
      "vm delete",
      "vm repair",
      "vm power",
      "host repair",
      "action cancel",
      "token revoke",
    ];
    for (const words of destroys)
      expect(COMMANDS.find((command) => command.words === words)?.options).toHaveProperty("yes");
  });

  it("names nothing in a way out that is not there", () => {
    const known = new Set(COMMANDS.map(({ words }) => words));
    const told = PROBLEM_CODES.map(
      (code) => wayOutOf(code, kindOfRefusal(STATUS_BY_CODE[code], code)) ?? "",
    );
    const named = told.flatMap((text) =>
      [...text.matchAll(/berth ([a-z-]+(?: [a-z-]+)?)/g)].map(([, w = ""]) => w),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(
      named.filter((words) => !known.has(words) && !known.has(words.split(" ")[0] ?? "")),
    ).toEqual([]);
  });
});

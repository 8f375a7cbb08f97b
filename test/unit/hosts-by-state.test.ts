import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

/*
 * 6b item 4: wherever hosts are chosen, their state is looked at by the rules of `db/hosts/in-state.ts`, so that a new place cannot
 * forget one, and a new state is decided on once. What each rule comes to is in `test/db/hosts/host-moves.test.ts`.
 */

const ROOT = path.join(import.meta.dirname, "../..");
const RULES = "db/hosts/in-state.ts";
/** A column that is read, written, or named by whoever lists hosts by it: nobody is chosen by that. */
const NO_CHOICE = [/state: hosts\.state,/, /having\(hosts\.state, state,/];
/** Of what runs in one statement, hosts among its tables: to be read by this test alone. */
const CHOICE = /\b(?:hosts|peers|asker|candidates?)\.state\b|host_state/;

const files = globSync("{db,commands,functions,core}/**/*.ts", { cwd: ROOT }).filter(
  (file) => !/\.test\.ts$|^db\/schema\//.test(file) && file !== RULES,
);
const choices = (text: string): readonly string[] =>
  text
    .split("\n")
    .filter((line) => CHOICE.test(line) && !NO_CHOICE.some((pattern) => pattern.test(line)));

test("no statement but those rules chooses hosts by their state", () => {
  expect(files.length).toBeGreaterThan(200);
  const found = files.flatMap((file) =>
    choices(readFileSync(path.join(ROOT, file), "utf8")).map((line) => `${file}: ${line.trim()}`),
  );
  expect(found).toEqual([]);
});

test("one that does is found", () => {
  expect(choices('    .where(eq(hosts.state, "active"))\n  state: hosts.state,')).toEqual([
    '    .where(eq(hosts.state, "active"))',
  ]);
});

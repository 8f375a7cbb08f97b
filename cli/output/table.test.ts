import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import { columnsOf, toned, type Block } from "./shown.ts";
import { render, type Screen } from "./table.ts";

const terminal = (columns: number): Screen => ({ kind: "terminal", columns, colour: false });
const PIPE: Screen = { kind: "pipe", columns: 80, colour: false };

const table = (...rows: readonly (readonly string[])[]): Block => ({
  kind: "table",
  columns: columnsOf("ID!", "NAME", "NOTE?"),
  rows,
});

describe("a table (6a item 7)", () => {
  it("has columns as wide as they need, and no spaces at a line's end", async () => {
    expect(
      await render([table(["vm_1", "web", "x"], ["vm_22", "database", "y"])], terminal(80)),
    ).toBe("ID     NAME      NOTE\nvm_1   web       x\nvm_22  database  y\n");
  });

  it("leaves out what is spare, and then cuts what may be cut, never an id", async () => {
    const id = "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6";
    const drawn = await render(
      [table([id, "a-very-long-host-name.example.com", "n"])],
      terminal(56),
    );
    expect(drawn).toBe(`ID${" ".repeat(35)}NAME\n${id}  a-very-long-host-n…\n`);
  });

  it("stands on several lines a row where the terminal is too narrow for its columns", async () => {
    const id = "vm_0199f0a2b3c47d5e8f90a1b2c3d4e5f6";
    expect(await render([table([id, "web-1.example.com", "n"])], terminal(38))).toBe(
      `id    ${id}\nname  web-1.example.com\n`,
    );
  });

  it.each(["日本語のサーバー", "👨‍👩‍👧 family", "🇩🇪🇫🇷 flags", "e\u0301te\u0301", "ａｂｃ"])(
    "keeps its columns and its width with %s",
    async (name) => {
      const rows = [
        ["vm_1", name.repeat(4), "note"],
        ["vm_2", "plain", "note"],
      ];
      for (const columns of [26, 40, 80]) {
        const lines = (await render([table(...rows)], terminal(columns))).trimEnd().split("\n");
        for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(columns);
      }
      const [, first = "", second = ""] = (await render([table(...rows)], terminal(120))).split(
        "\n",
      );
      const before = (line: string) => stringWidth(line.slice(0, line.lastIndexOf("note")));
      expect(before(first)).toBe(before(second));
    },
  );

  it("is whole in a pipe: titles, a tab between two values, no colour", async () => {
    const long = "x".repeat(200);
    const block: Block = {
      kind: "table",
      columns: columnsOf("A", "B"),
      rows: [[long, toned("lost")]],
    };
    expect(await render([block], PIPE)).toBe(`A\tB\n${long}\tlost\n`);
  });

  it("is coloured by what a word means, on a terminal that has colours", async () => {
    const block: Block = { kind: "table", columns: columnsOf("A"), rows: [[toned("lost")], ["x"]] };
    expect(await render([block], { ...terminal(80), colour: true })).toBe(
      "\u001b[1mA\u001b[0m\n\u001b[31mlost\u001b[0m\nx\n",
    );
  });

  it("never writes what would move the cursor, or turn the text around", async () => {
    const hostile = "a\u001b[2Jb\tc\nd\u202eexe\u0007";
    for (const screen of [terminal(80), PIPE])
      expect(await render([{ kind: "fields", fields: [["name", hostile]] }], screen)).not.toMatch(
        // oxlint-disable-next-line no-control-regex
        /[\u001b\u0007\u202e]|b\tc|c\nd/,
      );
  });
});

describe("fields and lines", () => {
  it("wrap by words, and leave a long word whole", async () => {
    const block: Block = {
      kind: "fields",
      fields: [
        ["may", "one two three"],
        ["url", "https://example.com/a-long-one"],
      ],
    };
    expect(await render([block], terminal(14))).toBe(
      "may  one two\n     three\nurl  https://example.com/a-long-one\n",
    );
  });

  it("have an empty line between two blocks", async () => {
    const lines: Block = { kind: "lines", title: "T", lines: ["a"] };
    expect(await render([lines, lines], PIPE)).toBe("T\na\n\nT\na\n");
  });
});

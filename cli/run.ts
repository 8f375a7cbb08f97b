import { CommanderError } from "commander";
import type { Command } from "./commands/command.ts";
import { candidates } from "./completion/candidates.ts";
import { EXIT } from "./exit-codes.ts";
import { Failure } from "./failure.ts";
import { plain } from "./output/format.ts";
import type { Shown } from "./output/shown.ts";
import { render } from "./output/table.ts";
import { buildProgram } from "./program.ts";
import { createSession, type Common } from "./session.ts";
import { wayOutOf } from "./way-out.ts";
import type { World } from "./world.ts";

/** Runs one command line, what stands after `berth`, and answers with the exit code. */
export async function runBerth(words: readonly string[], world: World): Promise<number> {
  // For the scripts of `berth completion`: whatever is among these words, none of it is a command.
  if (words[0] === "__complete") {
    const found = await candidates(words.slice(1), world);
    for (const { word, about } of found) world.stdout.write(`${word}\t${plain(about)}\n`);
    return EXIT.ok;
  }
  let code: number = EXIT.ok;
  const program = buildProgram(world, async (command, args, options, common) => {
    code = await runCommand(command, args, options, common, world);
  });
  try {
    await program.parseAsync([...words], { from: "user" });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.ok;
    // A group without a verb: its help was printed.
    if (error.code !== "commander.help")
      tell(misused(error), { json: words.includes("--json") }, world);
    return EXIT.usage;
  }
}

/** `commander.unknownOption` is `unknown_option`. */
function misused({ code, message }: CommanderError): Failure {
  const word = code
    .replace(/^commander\./, "")
    .replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return new Failure("usage", word, message.replace(/^error: /, "").replaceAll("\n", " "), {
    wayOut: wayOutOf(word, "usage"),
  });
}

async function runCommand(
  command: Command,
  args: object,
  options: object,
  common: Common,
  world: World,
): Promise<number> {
  try {
    const shown = await command.run(createSession(world, common), args, options);
    await write(shown, common, world);
    if (shown.failed === undefined) return EXIT.ok;
    tell(shown.failed, common, world);
    return EXIT[shown.failed.kind];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    tell(error, common, world);
    return EXIT[error.kind];
  }
}

async function write(shown: Shown, common: Common, { stdout, stderr, env }: World): Promise<void> {
  if (common.json) stdout.write(`${JSON.stringify(shown.json, null, 2)}\n`);
  else if (common.quiet) stdout.write(shown.ids.map((id) => `${plain(id)}\n`).join(""));
  else {
    const coloured = common.color && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
    stdout.write(
      await render(shown.blocks, {
        kind: stdout.isTty ? "terminal" : "pipe",
        columns: stdout.columns,
        colour: stdout.isTty && coloured,
      }),
    );
  }
  if (shown.next !== undefined && stderr.isTty && !common.quiet && !common.json)
    stderr.write(`  next: ${plain(shown.next)}\n`);
}

/** On stderr: for people its words, the code and the way out; with `--json`, the same as data. */
function tell(
  { kind, code, message, more }: Failure,
  { json }: Pick<Common, "json">,
  { stderr }: World,
): void {
  const { wayOut, request, fields } = more;
  if (json) {
    const error = { kind, exit: EXIT[kind], code, detail: message, wayOut, request, fields };
    stderr.write(`${JSON.stringify({ error })}\n`);
    return;
  }
  stderr.write(`berth: ${plain(message)} (${plain(code)})\n`);
  for (const { path, message } of fields ?? []) stderr.write(`  ${plain(`${path}: ${message}`)}\n`);
  if (wayOut !== undefined) stderr.write(`  next: ${plain(wayOut)}\n`);
  if (request !== undefined && (kind === "unreachable" || kind === "failed"))
    stderr.write(`  request ${plain(request)}\n`);
}

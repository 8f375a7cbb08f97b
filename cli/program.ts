import { Argument, Command as Commander, InvalidArgumentError, Option } from "commander";
import packageJson from "../package.json" with { type: "json" };
import { COMMANDS, GROUPS } from "./commands/all.ts";
import type { Command, Param } from "./commands/command.ts";
import type { Common } from "./session.ts";
import type { World } from "./world.ts";

/** `idempotencyKey` is `--idempotency-key`. */
export const optionName = (key: string): string =>
  key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Runs a command with what was read of the command line for it. */
export type Dispatch = (
  command: Command,
  args: object,
  options: object,
  common: Common,
) => Promise<void>;

const EVERYWHERE = "Everywhere:";

/** The table of commands as a parser of the command line. What it refuses it throws. */
export function buildProgram(world: World, dispatch: Dispatch): Commander {
  const program = new Commander("berth")
    .description("Berth's VPSs: orders, VMs and invoices; for staff, accounts and hosts")
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({
      writeOut: world.stdout.write,
      writeErr: world.stderr.write,
      // What is wrong with the command line is told as every other failure is.
      outputError: () => undefined,
      getOutHelpWidth: () => world.stdout.columns,
      getErrHelpWidth: () => world.stderr.columns,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  const groups = new Map<string, Commander>();
  for (const command of COMMANDS)
    for (const words of [command.words, ...(command.also === undefined ? [] : [command.also])]) {
      const [first = "", verb] = words.split(" ");
      if (verb === undefined) addLeaf(program, first, command, dispatch);
      else {
        const group = groups.get(first) ?? program.command(first).summary(GROUPS[first] ?? "");
        groups.set(first, group);
        addLeaf(group, verb, command, dispatch);
      }
    }
  return program;
}

function addLeaf(parent: Commander, verb: string, command: Command, dispatch: Dispatch): void {
  const summary = command.staff ? `${command.summary} (staff)` : command.summary;
  const leaf = parent.command(verb).summary(summary).description(summary);
  for (const [key, param] of Object.entries(command.args)) leaf.addArgument(argumentOf(key, param));
  for (const [key, param] of Object.entries(command.options)) leaf.addOption(optionOf(key, param));
  for (const option of commonOptions()) leaf.addOption(option.helpGroup(EVERYWHERE));
  const names = Object.keys(command.args);
  leaf.action(async () => {
    const { json, quiet, color, context, ...options } = leaf.opts<Partial<Common>>();
    const args = Object.fromEntries(names.map((name, n) => [name, leaf.processedArgs[n]]));
    await dispatch(command, args, options, {
      json: json ?? false,
      quiet: quiet ?? false,
      color: color ?? true,
      context,
    });
  });
}

const commonOptions = () => [
  new Option("--json", "one JSON value on standard output, and nothing else there"),
  new Option("-q, --quiet", "ids alone, a line each, and no progress"),
  new Option("--no-color", "no colours; NO_COLOR does the same"),
  new Option("--context <name>", "another context than the one in use"),
];

function argumentOf(key: string, param: Param<unknown>): Argument {
  const name = param.value ?? key;
  const argument = new Argument(param.required ? `<${name}>` : `[${name}]`, param.summary);
  if (param.choices !== undefined) argument.choices([...param.choices]);
  return argument;
}

function optionOf(key: string, param: Param<unknown>): Option {
  const value = param.value === null ? "" : ` <${param.value}>`;
  const option = new Option(`--${optionName(key)}${value}`, param.summary);
  if (param.required) option.makeOptionMandatory();
  if (param.choices !== undefined) option.choices([...param.choices]);
  const { read } = param;
  if (read !== undefined) option.argParser((text) => readBy(read, text));
  if (param.many === true)
    option.argParser<readonly string[]>((text, before) => [...(before ?? []), text]);
  return option;
}

function readBy(read: (text: string) => unknown, text: string): unknown {
  try {
    return read(text);
  } catch (cause) {
    throw new InvalidArgumentError(cause instanceof Error ? cause.message : String(cause));
  }
}

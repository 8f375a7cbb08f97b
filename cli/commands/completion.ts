import { SCRIPTS, SHELLS } from "../completion/scripts.ts";
import { command, mustBeOneOf } from "./command.ts";

export const completionCommands = [
  command("completion", "A script that makes a shell complete what is typed after berth", {
    args: { shell: mustBeOneOf("for which shell", SHELLS, "shell") },
    run: async (_, { shell }) => ({
      json: SCRIPTS[shell],
      ids: [],
      blocks: [{ kind: "lines", lines: SCRIPTS[shell].trimEnd().split("\n") }],
    }),
  }),
];

import type { Session } from "../session.ts";
import type { Shown } from "../output/shown.ts";

/** What a name on the command line is one of: found by its name, and offered by the shell's completion. */
export type NameKind =
  | "vm"
  | "plan"
  | "image"
  | "location"
  | "host"
  | "context"
  | "file"
  | "account"
  | "order"
  | "invoice"
  | "token";

/** What a command takes, of type T: an argument by its place, or an option by its name. */
export type Param<T> = Readonly<{
  summary: string;
  /** `<n>` of `--limit <n>`; null: it takes no value. */
  value: string | null;
  required: boolean;
  choices?: readonly string[];
  names?: NameKind;
  many?: boolean;
  /** Throws what is told of a value that does not do. */
  read?: (text: string) => unknown;
  /** The type alone; never there. */
  as?: T;
}>;
export type Params = Readonly<Record<string, Param<unknown>>>;
/** The values of parameters, by their names. */
export type Values<P extends Params> = {
  readonly [K in keyof P]: P[K] extends Param<infer T> ? T : never;
};

export type Command = Readonly<{
  /** `vm power`: the group and the verb. */
  words: string;
  /** The same command by another name. */
  also?: string;
  summary: string;
  /** Whom the API serves it to; what is for staff is marked so in help. */
  staff: boolean;
  args: Params;
  options: Params;
  /** With what was read of the command line by `args` and `options`, by the names there. */
  run: (session: Session, args: object, options: object) => Promise<Shown>;
}>;

/** One row of the table of commands. Its arguments are in the order in which they are typed. */
export const command = <const A extends Params, const O extends Params>(
  words: string,
  summary: string,
  rest: Readonly<{
    staff?: boolean;
    also?: string;
    args?: A;
    options?: O;
    run: (session: Session, args: Values<A>, options: Values<O>) => Promise<Shown>;
  }>,
): Command => ({
  words,
  summary,
  staff: false,
  args: {},
  options: {},
  ...rest,
  run: (session, args, options) => rest.run(session, Object(args), Object(options)),
});

type About = Readonly<{ value?: string; names?: NameKind; read?: (text: string) => unknown }>;

export const required = (summary: string, about: About = {}): Param<string> => ({
  summary,
  value: "value",
  required: true,
  ...about,
});
export const optional = (summary: string, about: About = {}): Param<string | undefined> => ({
  summary,
  value: "value",
  required: false,
  ...about,
});
export const oneOf = <const T extends string>(
  summary: string,
  choices: readonly T[],
  value = "word",
): Param<T | undefined> => ({ summary, value, required: false, choices });
export const mustBeOneOf = <const T extends string>(
  summary: string,
  choices: readonly T[],
  value = "word",
): Param<T> => ({ summary, value, required: true, choices });
export const several = (
  summary: string,
  about: About = {},
): Param<readonly string[] | undefined> => ({
  summary,
  value: "value",
  required: false,
  many: true,
  ...about,
});
export const count = (summary: string, most: number, least = 1): Param<number | undefined> => ({
  summary,
  value: "n",
  required: false,
  read: (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < least || number > most)
      throw new TypeError(`a whole number from ${least} to ${most}`);
    return number;
  },
});
export const flag = (summary: string): Param<boolean | undefined> => ({
  summary,
  value: null,
  required: false,
});

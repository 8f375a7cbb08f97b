/** All that the command line has of the machine: tests give it another. */
export type World = Readonly<{
  env: Readonly<Record<string, string | undefined>>;
  /** Where contexts are kept. */
  configFolder: string;
  stdin: Readonly<{
    isTty: boolean;
    /** All of it. */
    text: () => Promise<string>;
    /** One line that a person types; `hidden`: nothing of it is seen. */
    line: (question: string, hidden: boolean) => Promise<string>;
  }>;
  stdout: Out;
  stderr: Out;
  clock: Readonly<{ now: () => Date; sleep: (ms: number) => Promise<void> }>;
  /** Rejects when nobody answers in time; follows no redirect. */
  fetch: (url: URL, init: RequestInit) => Promise<Response>;
  /** A new Idempotency-Key. */
  newKey: () => string;
  hostname: string;
}>;
export type Out = Readonly<{
  isTty: boolean;
  /** Of the terminal; 80 where there is none. */
  columns: number;
  write: (text: string) => void;
}>;

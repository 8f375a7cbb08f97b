/** Time. Everything that waits, waits through `sleep`, so that a test or the simulator can own time. */
export type Clock = {
  now: () => Date;
  /** Resolves after `ms`, or rejects with the signal's reason when it is aborted first. */
  sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
};
/** Source of UUIDv7 strings (RFC 9562 §5.7): ordered by creation, so that indexes stay local. */
export type IdSource = { newId: () => string };
/** One wide line a unit of work: snake_case fields, units in names, never secrets or bodies (style §13). */
export type Log = {
  info: (event: string, fields: Record<string, unknown>) => void;
  error: (event: string, fields: Record<string, unknown>) => void;
};

/** Those that ring for the provider's deliveries. `purchases` is for what a buyer waits for: no renewal is before them. */
export const BILLING_QUEUES = ["purchases", "billing-events"] as const;
export type BillingQueue = (typeof BILLING_QUEUES)[number];
/** The queues that the product itself works from. A host's own queue is named by its URL. */
export const WORK_QUEUES = [...BILLING_QUEUES, "outbox-events"] as const;
export type WorkQueue = (typeof WORK_QUEUES)[number];
/** All that it reads: what becomes of mails, AWS itself tells the last of them. */
export const READ_QUEUES = [...WORK_QUEUES, "mail-events"] as const;

/** SQS. A failed send throws: whoever sends keeps its row unsent and tries again. */
export type Queues = {
  send: (
    queue: WorkQueue,
    messages: readonly unknown[],
    options?: {
      /** 0 to 900: nobody gets the messages before. */
      delaySeconds: number;
    },
  ) => Promise<void>;
  ring: (queueUrl: string, doorbell: { hostId: string; generation: number }) => Promise<void>;
  /** Makes the host's queue, or finds it; answers its URL. */
  ensureHostQueue: (hostId: string) => Promise<string>;
};

/** Credentials that allow a host to receive and delete on its own queue, and nothing else (design §6). */
export type HostCredentials = {
  forQueue: (host: { hostId: string; queueUrl: string }) => Promise<{
    region: string;
    accessKeyId: string;
    secretAccessKey: string;
    sessionToken: string | null;
    expiresAt: Date;
  }>;
};

/** Source of secrets: URL-safe text with `bytes` bytes of entropy. */
export type SecretSource = { newSecret: (bytes: number) => string };

/**
 * Keeps a secret unreadable where it is stored. `context` names what the secret belongs to: under any other one it
 * does not open. `open` throws for what this sealer did not seal.
 */
export type Sealer = {
  seal: (text: string, context: string) => string;
  open: (sealed: string, context: string) => string;
};

/** A mail as it goes out: the same words as plain text and as HTML. `id`: the same at each try. */
export type OutgoingMail = Readonly<{
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}>;

/** Sends a mail. A throw: it was not taken, and may be sent again; its message is stored, and names no address. */
export type Mail = { send: (mail: OutgoingMail) => Promise<void> };

/** What a request's cookies say: no session, one that we began, or one that we did not sign. */
export type SessionCookies = {
  tokenIn: (
    headers: Headers,
  ) => Promise<{ kind: "none" } | { kind: "token"; token: string } | { kind: "forged" }>;
  /** The cookie of a session's token, as a `Cookie` header has it. */
  cookieOf: (token: string) => Promise<string>;
};

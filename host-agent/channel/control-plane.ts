import { z } from "zod";
import { announcement } from "#core/contracts/agent/protocol.ts";
import { AgentSession, EnrollAnswer, type EnrollRequest } from "#core/contracts/agent/channel.ts";
import { InitialPasswordAnswer, ReceivedDocument } from "#core/contracts/agent/desired.ts";
import { WantedImages, type ImageProgress } from "#core/contracts/agent/images.ts";
import { UsageReceipt, type UsageBatch } from "#core/contracts/agent/usage.ts";
import { type AgentReport } from "#core/contracts/agent/report.ts";
import type { Clock } from "#core/ports.ts";
import { within } from "#host-agent/time-limit.ts";

/** The control plane as the agent sees it. Every call may throw `ControlPlaneError`, and may be repeated. */
export interface ControlPlane {
  enroll(request: EnrollRequest, signal?: AbortSignal): Promise<EnrollAnswer>;
  session(signal?: AbortSignal): Promise<AgentSession>;
  /** null: unchanged since `etag`. `atLeast` is the generation that a doorbell named. */
  desired(have: DesiredQuery, signal?: AbortSignal): Promise<ReceivedDocument | null>;
  report(report: AgentReport, signal?: AbortSignal): Promise<void>;
  sendUsage(batch: UsageBatch, signal?: AbortSignal): Promise<UsageReceipt>;
  /** Tells how far this host is with its images, and hears which it should hold. 404: a control plane of before. */
  images(progress: ImageProgress, signal?: AbortSignal): Promise<WantedImages>;
  /** The administrator's password of a VM that is about to be made. Never to be logged or kept. */
  initialPassword(vmId: string, signal?: AbortSignal): Promise<string>;
}
type DesiredQuery = Readonly<{ etag: string | null; atLeast: number | null }>;

/** The control plane cannot be reached (`status` null), refused, or answered what is no answer. */
export class ControlPlaneError extends Error {
  override name = "ControlPlaneError";
  readonly status: number | null;
  /** The problem document's stable code, or one of ours: `unreachable`, `bad_answer`, `http_<status>`. */
  readonly code: string;
  constructor(status: number | null, code: string, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.status = status;
    this.code = code;
  }
  /** Sending the same again cannot help. */
  get isFinal(): boolean {
    return this.status === 400 || this.status === 413 || this.status === 422;
  }
}

/** This host's key was replaced by a later enrolment, or withdrawn. The agent stops. */
export class IdentityRevoked extends ControlPlaneError {
  override name = "IdentityRevoked";
}

/** Makes the request's bearer token. `target` is path and query; `body` are the exact bytes sent, "" for none. */
export type SignRequest = (method: string, target: string, body: string) => Promise<string>;

const Problem = z.object({
  code: z.string(),
  detail: z.string().optional(),
  title: z.string().optional(),
});

type HttpOptions = {
  /** Where `/agent/v1` is. */
  apiUrl: string;
  fetch: typeof fetch;
  clock: Clock;
  /** null while enrolling. */
  sign: SignRequest | null;
  /** Given what each answer says is the control plane's time. */
  heard?: (date: Date) => void;
  timeLimitMs?: number;
  /** What it announces; left out: all words of this source's. */
  understands?: readonly string[];
};

type Answer = { status: number; text: string };

export function createHttpControlPlane(options: HttpOptions): ControlPlane {
  const base = new URL(options.apiUrl);
  const prefix = base.pathname.replace(/\/+$/, "");

  async function call(
    method: "GET" | "POST",
    path: string,
    more: { body?: unknown; etag?: string | null; signal?: AbortSignal | undefined } = {},
  ): Promise<Answer> {
    const target = `${prefix}${path}`;
    const body = more.body === undefined ? "" : JSON.stringify(more.body);
    const headers = new Headers({
      accept: "application/json",
      ...announcement(options.understands),
    });
    if (body !== "") headers.set("content-type", "application/json");
    if (more.etag) headers.set("if-none-match", `"${more.etag}"`);
    if (options.sign)
      headers.set("authorization", `Bearer ${await options.sign(method, target, body)}`);
    const limit = {
      clock: options.clock,
      ms: options.timeLimitMs ?? 15_000,
      late: () =>
        new ControlPlaneError(null, "unreachable", `no answer to ${method} ${path} in time`),
      ...(more.signal ? { parent: more.signal } : {}),
    };
    const askedAt = options.clock.now();
    return within(limit, async (signal) => {
      try {
        const answer = await options.fetch(new URL(target, base.origin), {
          method,
          headers,
          signal,
          redirect: "error",
          ...(body === "" ? {} : { body }),
        });
        const date = answer.headers.get("date");
        // One that came late says what the time was: before the host was suspended, it may be days ago.
        const tookMs = Math.abs(+options.clock.now() - +askedAt);
        if (date !== null && tookMs <= limit.ms) options.heard?.(new Date(date));
        return { status: answer.status, text: await answer.text() };
      } catch (cause) {
        signal.throwIfAborted();
        throw new ControlPlaneError(null, "unreachable", `${method} ${path} failed`, { cause });
      }
    });
  }

  /** Signed anew, once, when the answer said that this host's clock is off: what signs knows by how much now. */
  async function callCorrected(...args: Parameters<typeof call>): Promise<Answer> {
    const answer = await call(...args);
    const mayCorrect = options.heard !== undefined && options.sign !== null;
    const isOff = answer.status === 401 && problemIn(answer.text)?.code === "agent_clock_off";
    return mayCorrect && isOff ? call(...args) : answer;
  }

  async function ask(...args: Parameters<typeof call>): Promise<string> {
    const { status, text } = await callCorrected(...args);
    if (status < 200 || status >= 300) throw refusalOf(status, text);
    return text;
  }

  return {
    enroll: async (request, signal) =>
      parse(EnrollAnswer, await ask("POST", "/agent/v1/enroll", { body: request, signal })),
    session: async (signal) =>
      parse(AgentSession, await ask("POST", "/agent/v1/session", { body: {}, signal })),
    async desired({ etag, atLeast }, signal) {
      const query = atLeast === null ? "" : `?atLeast=${atLeast}`;
      const { status, text } = await callCorrected("GET", `/agent/v1/desired${query}`, {
        etag,
        signal,
      });
      if (status === 304) return null;
      if (status !== 200) throw refusalOf(status, text);
      return parse(ReceivedDocument, text);
    },
    report: async (report, signal) =>
      void (await ask("POST", "/agent/v1/reports", { body: report, signal })),
    sendUsage: async (batch, signal) =>
      parse(UsageReceipt, await ask("POST", "/agent/v1/usage", { body: batch, signal })),
    images: async (progress, signal) =>
      parse(WantedImages, await ask("POST", "/agent/v1/images", { body: progress, signal })),
    async initialPassword(vmId, signal) {
      const path = `/agent/v1/vms/${encodeURIComponent(vmId)}/initial-password`;
      return parse(InitialPasswordAnswer, await ask("POST", path, { body: {}, signal })).password;
    },
  };
}

function parse<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    // Where it is wrong, never what it holds: a session carries credentials.
    const where =
      cause instanceof z.ZodError ? cause.issues.map((i) => i.path.join(".")) : ["JSON"];
    const detail = `the control plane's answer is not understood: ${where.join(", ")}`;
    throw new ControlPlaneError(200, "bad_answer", detail, { cause });
  }
}

function refusalOf(status: number, text: string): ControlPlaneError {
  const problem = problemIn(text);
  const code = problem?.code ?? `http_${status}`;
  const detail = problem?.detail ?? problem?.title ?? `the control plane answered ${status}`;
  return status === 401 && code === "identity_revoked"
    ? new IdentityRevoked(status, code, detail)
    : new ControlPlaneError(status, code, detail);
}

/** A proxy's error page is no problem document, and then there is none. */
function problemIn(text: string): z.infer<typeof Problem> | null {
  try {
    return Problem.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

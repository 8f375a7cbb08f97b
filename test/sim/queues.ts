import type { SQSRecord } from "aws-lambda";
import { hostQueueName } from "#adapters/sqs-names.ts";
import { EventEnvelope } from "#core/contracts/events.ts";
import type { Queues, WorkQueue } from "#core/ports.ts";
import type { BatchHandler } from "#functions/batch.ts";
import type { DoorbellSource, Ring } from "#host-agent/channel/rings.ts";
import { assertQueueFor, assertRingable, assertSendable } from "#local/held-to-sqs.ts";
import type { Dice } from "./dice.ts";
import { outside } from "./process.ts";
import { forever } from "./scheduler.ts";
import type { Sim } from "./sim.ts";

/** Six times its consumer's time limit, as `cdk/constructs/queue-with-alarms.ts` has it. */
const VISIBILITY_MS = 360_000;
const DOORBELL_VISIBILITY_MS = 30_000;
/** A doorbell waits so long for another to overtake it. */
const HELD_BACK_MS = 3_600_000;
/** After so many receipts a message goes to the dead-letter queue, where only people see it. */
const MOST_RECEIPTS = 5;
const BATCH = 3;

type Message = { id: string; body: string; receipts: number; visible: boolean };
type Doorbells = {
  rung: number[];
  /** The latest generation that was rung for. */
  newest: number;
  /** Held back until the next one has overtaken it. */
  held: number[];
  listeners: Set<() => void>;
};

/** Runs a handler of batches in a process of its own; resolves to undefined when that was killed. */
export type Invoke = (
  name: string,
  work: () => ReturnType<BatchHandler>,
) => Promise<Awaited<ReturnType<BatchHandler>> | undefined>;

/** SQS, standard queues: at least once, in no order, and here now and then not at all. They take what SQS takes. */
export class SimQueues implements Queues {
  readonly #sim: Sim;
  readonly #invoke: Invoke;
  readonly #messages: Record<WorkQueue, Message[]> = {
    purchases: [],
    "billing-events": [],
    "outbox-events": [],
  };
  readonly #doorbells = new Map<string, Doorbells>();
  readonly #dice: Dice;
  #handlers: Record<WorkQueue, BatchHandler> | null = null;
  #count = 0;
  /** What it took of the outbox's relay: events by their rows' ids, and each host's newest generation rung for. */
  readonly taken = { events: new Set<string>(), generations: new Map<string, number>() };
  /** No doorbell rings any more, for runs that must come to rest without them. */
  deaf = false;

  constructor(sim: Sim, invoke: Invoke) {
    this.#sim = sim;
    this.#invoke = invoke;
    this.#dice = sim.dice.fork("queues");
  }

  /** Who works the queues; set once, as the handlers need the queues themselves. */
  serve(handlers: Record<WorkQueue, BatchHandler>): void {
    this.#handlers = handlers;
  }

  async send(
    queue: WorkQueue,
    messages: readonly unknown[],
    options?: { delaySeconds: number },
  ): Promise<void> {
    const { scheduler, faults } = this.#sim;
    assertSendable(messages, options?.delaySeconds);
    if (messages.length === 0) return;
    await outside(scheduler, `sqs send ${queue}`);
    if (faults.strikes("queue.send_failed")) throw new Error("sqs: no connection (simulated)");
    for (const message of messages) this.#put(queue, JSON.stringify(message));
    if (queue === "outbox-events")
      for (const message of messages) this.taken.events.add(EventEnvelope.parse(message).id);
    if (faults.strikes("queue.send_answer_lost")) throw new Error("sqs: no answer (simulated)");
  }

  async ring(queueUrl: string, doorbell: { hostId: string; generation: number }): Promise<void> {
    const { scheduler, faults } = this.#sim;
    assertRingable(doorbell);
    await outside(scheduler, "sqs ring");
    if (faults.strikes("queue.send_failed")) throw new Error("sqs: no connection (simulated)");
    const { generations } = this.taken;
    generations.set(
      doorbell.hostId,
      Math.max(doorbell.generation, generations.get(doorbell.hostId) ?? 0),
    );
    if (faults.strikes("doorbell.dropped")) return;
    const bells = this.#bellsOf(queueUrl);
    const later = (label: string) =>
      scheduler.after(this.#dice.int(1, 900) * 1000, label, () => {
        if (faults.active && bells.newest > doorbell.generation) faults.count("doorbell.reordered");
        this.#ring(queueUrl, doorbell.generation);
      });
    if (faults.strikes("doorbell.doubled")) later("second ring");
    const held = bells.held.splice(0);
    if (faults.strikes("doorbell.delayed")) later("late ring");
    else if (held.length === 0 && faults.draws("doorbell.reordered")) {
      bells.held.push(doorbell.generation);
      scheduler.after(HELD_BACK_MS, "ring held back", () => {
        for (const generation of bells.held.splice(0)) this.#ring(queueUrl, generation);
      });
    } else this.#ring(queueUrl, doorbell.generation);
    for (const generation of held)
      scheduler.after(this.#dice.int(0, 20) * 1000, "overtaken ring", () => {
        if (faults.active) faults.count("doorbell.reordered");
        this.#ring(queueUrl, generation);
      });
  }

  async ensureHostQueue(hostId: string): Promise<string> {
    assertQueueFor(hostId);
    await outside(this.#sim.scheduler, "sqs ensure queue");
    if (this.#sim.faults.strikes("queue.send_failed"))
      throw new Error("sqs: no connection (simulated)");
    return `https://sqs.test/${hostQueueName(hostId)}`;
  }

  /** The doorbell of one agent, for as long as `isDead` says no. */
  doorbellOf(
    queueUrl: string,
    host: { name: string; isDead: () => boolean; isCut: () => boolean },
  ): DoorbellSource {
    const bells = this.#bellsOf(queueUrl);
    const { scheduler } = this.#sim;
    return {
      next: (signal) =>
        new Promise<Ring>((resolve, reject) => {
          const end = () => reject(new Error("aborted (simulated)"));
          if (signal.aborted) end();
          signal.addEventListener("abort", end, { once: true });
          const listen = () => {
            if (host.isDead() || host.isCut() || bells.rung.length === 0) return;
            bells.listeners.delete(listen);
            signal.removeEventListener("abort", end);
            resolve(this.#take(queueUrl, bells));
          };
          bells.listeners.add(listen);
          scheduler.spawn(`${host.name} listens`, listen);
        }).then((ring) => (host.isDead() ? forever : ring)),
      close: () => undefined,
    };
  }

  /** Whoever listens looks again: a network came back. */
  wake(queueUrl: string): void {
    for (const listen of this.#bellsOf(queueUrl).listeners)
      this.#sim.scheduler.spawn("doorbell", listen);
  }

  #take(queueUrl: string, bells: Doorbells): Ring {
    const taken = bells.rung.splice(0);
    let answered = false;
    this.#sim.scheduler.after(DOORBELL_VISIBILITY_MS, "doorbell comes again", () => {
      if (!answered) this.#ring(queueUrl, Math.max(...taken));
    });
    return {
      generation: Math.max(...taken),
      answered: async () => {
        answered = true;
      },
    };
  }

  /** A ring that nothing happens to. */
  ringNow(queueUrl: string, generation: number): void {
    this.#ring(queueUrl, generation);
  }

  #ring(queueUrl: string, generation: number): void {
    if (this.deaf) return;
    const bells = this.#bellsOf(queueUrl);
    bells.rung.push(generation);
    bells.newest = Math.max(bells.newest, generation);
    this.wake(queueUrl);
  }

  #bellsOf(queueUrl: string): Doorbells {
    const bells = this.#doorbells.get(queueUrl) ?? {
      rung: [],
      newest: 0,
      held: [],
      listeners: new Set(),
    };
    this.#doorbells.set(queueUrl, bells);
    return bells;
  }

  #put(queue: WorkQueue, body: string): void {
    const { faults, scheduler } = this.#sim;
    if (faults.strikes("queue.dropped")) return;
    const copies = faults.strikes("queue.doubled") ? 2 : 1;
    for (let n = 0; n < copies; n++) {
      const message = { id: `m${++this.#count}`, body, receipts: 0, visible: false };
      this.#messages[queue].push(message);
      const show = () => this.#show(queue, message);
      if (faults.strikes("queue.delayed"))
        scheduler.after(this.#dice.int(1, 900) * 1000, "late message", show);
      else show();
    }
  }

  #show(queue: WorkQueue, message: Message): void {
    if (!this.#messages[queue].includes(message)) return;
    message.visible = true;
    this.#sim.scheduler.spawn(`sqs deliver ${queue}`, () => this.#deliver(queue, message));
  }

  #deliver(queue: WorkQueue, message: Message): void {
    const { faults, scheduler, log } = this.#sim;
    const handler = this.#handlers?.[queue];
    if (!message.visible || handler === undefined) return;
    const visible = this.#messages[queue].filter((m) => m.visible);
    if (visible.indexOf(message) > 0 && faults.active) faults.count("queue.reordered");
    const others = this.#dice
      .shuffled(visible.filter((m) => m !== message))
      .slice(0, this.#dice.int(0, BATCH - 1));
    const batch = [message, ...others];
    for (const each of batch) {
      each.visible = false;
      each.receipts++;
    }
    const again = (messages: readonly Message[]) => {
      for (const each of messages)
        if (each.receipts >= MOST_RECEIPTS) this.#forget(queue, each);
        else scheduler.after(VISIBILITY_MS, "message comes again", () => this.#show(queue, each));
    };
    const invocation = `${queue} ${message.id}`;
    this.#invoke(invocation, () => handler({ Records: batch.map((m) => toRecord(m, queue)) })).then(
      (answer) => {
        const failed = new Set(answer?.batchItemFailures.map((f) => f.itemIdentifier));
        if (answer === undefined) again(batch);
        else {
          again(batch.filter((m) => failed.has(m.id)));
          for (const each of batch) if (!failed.has(each.id)) this.#forget(queue, each);
        }
      },
      (error: unknown) => {
        log.error("consumer.threw", { error });
        again(batch);
      },
    );
  }

  #forget(queue: WorkQueue, message: Message): void {
    this.#messages[queue] = this.#messages[queue].filter((m) => m !== message);
  }
}

const toRecord = (message: Message, queue: string): SQSRecord => ({
  messageId: message.id,
  receiptHandle: message.id,
  body: message.body,
  attributes: {
    ApproximateReceiveCount: String(message.receipts),
    SentTimestamp: "0",
    SenderId: "simulator",
    ApproximateFirstReceiveTimestamp: "0",
  },
  messageAttributes: {},
  md5OfBody: "",
  eventSource: "aws:sqs",
  eventSourceARN: `arn:aws:sqs:us-east-1:000000000000:${queue}`,
  awsRegion: "us-east-1",
});

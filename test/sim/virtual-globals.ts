import { AsyncResource } from "node:async_hooks";
import { createHash, createPrivateKey, createPublicKey, type JsonWebKey } from "node:crypto";
import { Dice } from "./dice.ts";
import type { Scheduler } from "./scheduler.ts";

/*
 * Libraries reach past our ports: the Stripe client waits with `setTimeout` and draws from `Math.random`, and
 * WebCrypto signs on threads whose order is anybody's guess. Inside a worker of the simulator, and only there, these
 * are taken over, so that a library's time-outs and retries happen in virtual time too.
 */

let scheduler: Scheduler | null = null;
let chance = new Dice("none");

/** From now on timers belong to this run. */
export function govern(by: Scheduler, dice: Dice): void {
  scheduler = by;
  chance = dice;
}

const cancels = new Map<number, () => void>();
let timerIds = 0;

let ignoring = false;

/** Postgres sets interval timers for its own time-outs, which end within the same call: they are nobody's. */
export function withoutTimers<T>(work: () => T): T {
  ignoring = true;
  try {
    return work();
  } finally {
    ignoring = false;
  }
}

function setVirtualTimeout(run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): number {
  const id = ++timerIds;
  if (scheduler === null || ignoring) return id;
  // As Node's own: what a library does again after a while is still done by the process that began it.
  const fire = AsyncResource.bind(run);
  cancels.set(
    id,
    scheduler.after(ms, "timeout", () => {
      cancels.delete(id);
      fire(...args);
    }),
  );
  return id;
}

function clearVirtualTimeout(id: unknown): void {
  if (typeof id !== "number") return;
  cancels.get(id)?.();
  cancels.delete(id);
}

type Subtle = typeof globalThis.crypto.subtle;

/** The public half of each key that was imported here. */
const publicHalves = new WeakMap<object, string>();

/**
 * Ed25519 in the calling thread. What it signs with is a hash over the public half: nobody in here forges, and a
 * thousand real signatures cost a second. Keys are real ones, checked as they are imported.
 */
function importKeyNow(subtle: Subtle): (...args: unknown[]) => Promise<unknown> {
  const threaded = subtle.importKey.bind(subtle);
  return async (...args) => {
    const [format, data, , extractable, usages] = args;
    if (format !== "jwk" || !isJwk(data) || typeof data.x !== "string" || !isUsages(usages))
      return Reflect.apply(threaded, subtle, args);
    const key =
      data.d === undefined
        ? createPublicKey({ key: data, format: "jwk" })
        : createPrivateKey({ key: data, format: "jwk" });
    const imported = key.toCryptoKey("Ed25519", extractable === true, usages);
    publicHalves.set(imported, data.x);
    return imported;
  };
}

const isJwk = (x: unknown): x is JsonWebKey =>
  typeof x === "object" && x !== null && "crv" in x && x.crv === "Ed25519";
const isUsages = (x: unknown): x is KeyUsage[] => Array.isArray(x);

/** 64 bytes, as an Ed25519 signature has. */
function signatureOf(key: object, data: Bytes): ArrayBuffer {
  const x = publicHalves.get(key);
  if (x === undefined) throw new Error("a key from somewhere else");
  return new Uint8Array(createHash("sha512").update(x).update(bytesOf(data)).digest()).buffer;
}

/** Takes the globals over for the life of this thread. Doing it again changes nothing. */
export function takeOverGlobals(): void {
  const { subtle } = globalThis.crypto;
  Object.assign(globalThis, { setTimeout: setVirtualTimeout, clearTimeout: clearVirtualTimeout });
  Object.assign(Math, { random: () => chance.next() });
  Object.assign(globalThis, {
    fetch: () => Promise.reject(new Error("nothing of the simulator may reach the real network")),
  });
  const importKey = importKeyNow(subtle);
  Object.defineProperties(subtle, {
    importKey: { value: importKey },
    sign: { value: async (_: unknown, key: object, data: Bytes) => signatureOf(key, data) },
    verify: {
      value: async (_: unknown, key: object, signature: Bytes, data: Bytes) =>
        Buffer.compare(bytesOf(signature), bytesOf(signatureOf(key, data))) === 0,
    },
  });
}

type Bytes = ArrayBuffer | NodeJS.ArrayBufferView;
const bytesOf = (data: Bytes): Uint8Array =>
  ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);

import { z } from "@hono/zod-openapi";
import { MOVE_METHODS, MOVE_ROLES, MOVE_STEPS } from "#core/moves/move.ts";
import { DISK_FORMATS } from "#core/vms/disk-format.ts";
import { ImageFileName, Sha256 } from "#core/contracts/values.ts";

const Bytes = z.string().regex(/^\d{1,18}$/);
const Format = z.enum(DISK_FORMATS).openapi("DiskFormat");

/** To staff as well. */
export const MoveStepName = z.enum(MOVE_STEPS).openapi("MoveStep");
export const MoveMethodName = z.enum(MOVE_METHODS).openapi("MoveMethod");

/** Where a host's agent takes connections of other agents' moves. */
export const MigrationAddress = z
  .object({ host: z.string().min(1).max(255), port: z.int().min(1).max(65_535) })
  .openapi("MigrationAddress");
export type MigrationAddress = z.infer<typeof MigrationAddress>;

const Disk = z
  .object({
    format: Format,
    virtualBytes: Bytes,
    exportBytes: Bytes,
    /** Both ends hold it: only what differs is sent. */
    base: z.object({ file: ImageFileName, sha256: Sha256 }).nullable(),
  })
  .openapi("DiskOfMove");

/** A move of the VM, and what this host is to it. It says a state, as all that is desired. */
export const DesiredMove = z
  .object({
    id: z.uuid(),
    role: z.enum(MOVE_ROLES).openapi("MoveRole"),
    step: MoveStepName,
    method: MoveMethodName,
    /** Of the copy at the destination. */
    epoch: z.int().positive(),
    /** In what the disk is sent. */
    format: Format,
    /** Where the destination takes it. */
    address: MigrationAddress,
    /** 32 bytes in base64url: of this attempt alone, and known to its two ends. */
    key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
    /** null: not limited. */
    mbitPerSecond: z.int().positive().nullable(),
    /** What the source said of it; null: it has not yet. */
    disk: Disk.nullable(),
  })
  .openapi("DesiredMove");
export type DesiredMove = z.infer<typeof DesiredMove>;

/** How far a host is with its part of a move. It is told again and again, for as long as the move is named to it. */
export const MoveReport = z
  .object({
    moveId: z.uuid(),
    vmId: z.uuid(),
    /** The step that it speaks of: a word about another one does not count. */
    step: MoveStepName,
    /** `arrived`: of a live move, its destination shows the guest there, and running. */
    done: z.enum(["ready", "copied", "arrived", "released", "held"]).openapi("MoveDone").nullable(),
    disk: Disk.optional(),
    /** Of the whole file that was sent, or received. */
    sha256: Sha256.optional(),
    bytes: Bytes.optional(),
    pauseMs: z
      .int()
      .nonnegative()
      .max(2 ** 31 - 1)
      .optional(),
    /** Why it goes no further; `final`: however often it is tried. */
    error: z
      .object({ code: z.string().max(50), detail: z.string().max(1000), final: z.boolean() })
      .openapi("MoveError")
      .nullable(),
  })
  .openapi("MoveReport");
export type MoveReport = z.infer<typeof MoveReport>;

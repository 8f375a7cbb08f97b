import { z } from "@hono/zod-openapi";
import { IMAGE_SOURCES } from "#core/hosts/image-peers.ts";
import { HYPERVISORS } from "#core/hosts/limits.ts";
import { DESIRED_POWER, OBSERVED_POWER, OS_FAMILIES } from "#core/vms/vm.ts";
import { DISK_BUSES, FIRMWARES, SECURE_BOOTS } from "#core/vms/image-hardware.ts";

/* What the API and the agents' wire both write, and the names under which the OpenAPI document knows it. */

export const CLOCK_PATTERN = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";

export const Instant = z.iso.datetime({ precision: 3 }).openapi({
  description: "RFC 3339, to the millisecond, in UTC",
  pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}T${CLOCK_PATTERN}\\.[0-9]{3}Z$`,
  example: "2026-03-01T12:00:00.000Z",
});

export const OsFamily = z.enum(OS_FAMILIES).openapi("OsFamily");
export const Firmware = z.enum(FIRMWARES).openapi("Firmware");
export const SecureBoot = z.enum(SECURE_BOOTS).openapi("SecureBoot");
export const DiskBus = z.enum(DISK_BUSES).openapi("DiskBus");
export const Hypervisor = z.enum(HYPERVISORS).openapi("Hypervisor");
export const DesiredPower = z.enum(DESIRED_POWER).openapi("DesiredPower");
export const ObservedPower = z.enum(OBSERVED_POWER).openapi("ObservedPower");

export const ImageFetchSource = z.enum(IMAGE_SOURCES).openapi("ImageFetchSource", {
  description: "The URL that staff gave, or another host that holds the image.",
});

export const Ipv4 = z.ipv4().openapi({ format: "ipv4", example: "192.0.2.1" });

/** A bare file name without its extension; each driver adds its own (`.qcow2`, `.vhdx`). */
export const ImageFileName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,99}$/);

export const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .openapi({ description: "SHA-256, in hexadecimal" });

/**
 * For text from a host: NUL and halves of characters, which no database keeps, are replaced instead of refused. Some
 * of it comes from guests, and one guest must not spoil its host's whole report.
 */
export const storable = (text: string) => text.toWellFormed().replaceAll("\0", "\ufffd");
export const Text = (max: number) => z.string().max(max).transform(storable);

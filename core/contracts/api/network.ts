import { z } from "@hono/zod-openapi";
import { Ipv4 } from "#core/contracts/values.ts";

const OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

export const AddPool = z
  .strictObject({
    cidr: z.cidrv4().openapi({
      description: "A block of /16 to /30, by its first address",
      pattern: `^${OCTET}(?:\\.${OCTET}){3}/(?:1[6-9]|2[0-9]|30)$`,
      example: "192.0.2.0/24",
    }),
    gateway: Ipv4.openapi({ description: "An address in the block, for no VM" }),
    vlan: z.int().min(1).max(4094).nullable().default(null),
  })
  .openapi("AddPool");

export const AddedPool = z.object({ addresses: z.int() }).openapi("AddedPool");

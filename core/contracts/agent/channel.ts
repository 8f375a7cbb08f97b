import { z } from "@hono/zod-openapi";
import { HostFacts } from "./report.ts";
import { use } from "#core/contracts/named.ts";
import { PublicKeyX } from "#core/contracts/public-key.ts";
import { Instant } from "#core/contracts/values.ts";

/** `POST /agent/v1/enroll`: the one call that is authorised by a join token instead of a signature. */
export const EnrollRequest = z
  .object({
    joinToken: z.string().min(20).max(200),
    /** The agent's new Ed25519 public key as a JWK (RFC 8037). */
    publicKey: z
      .object({
        kty: z.literal("OKP").openapi("AgentKeyType"),
        crv: z.literal("Ed25519").openapi("AgentKeyCurve"),
        x: PublicKeyX,
      })
      .openapi("AgentPublicKey"),
    facts: HostFacts,
  })
  .openapi("EnrollRequest");
export type EnrollRequest = z.infer<typeof EnrollRequest>;

export const EnrollAnswer = z
  .object({
    hostId: z.uuid(),
    identityEpoch: z.int().positive(),
    /** Which Berth it is, for the tags of VMs; never another for the same host. Agents of before pass it over. */
    installation: z.uuid().optional(),
    /** Whose signature the agent's releases bear; the agent pins it. Left out: this installation signs none. */
    releaseKey: PublicKeyX.optional(),
  })
  .openapi("EnrollAnswer");
export type EnrollAnswer = z.infer<typeof EnrollAnswer>;

/** The version that staff want on this host, and where its signed manifest lies. */
export const WantedRelease = z
  .object({
    /** As `HostFacts.agentVersion` has it. */
    version: z.string().regex(/^\d{1,5}\.\d{1,5}\.\d{1,5}$/),
    manifestUrl: z.url({ protocol: /^https?$/ }).max(2_000),
  })
  .openapi("WantedRelease");

/** `POST /agent/v1/session`. `doorbell: null` when no queue can be had: the agent then only polls. */
export const AgentSession = z
  .object({
    doorbell: use(
      z
        .object({
          queueUrl: z.url(),
          region: z.string(),
          credentials: z
            .object({
              accessKeyId: z.string(),
              secretAccessKey: z.string(),
              sessionToken: z.string().nullable(),
              expiresAt: Instant,
            })
            .openapi("DoorbellCredentials"),
        })
        .openapi("AgentDoorbell"),
    ).nullable(),
    intervals: z
      .object({
        resyncSeconds: z.number().positive(),
        usageSampleSeconds: z.number().positive(),
        usageFlushSeconds: z.number().positive(),
      })
      .openapi("AgentIntervals"),
    /** As at enrolment, for hosts that were enrolled before it was told. */
    installation: z.uuid().optional(),
    /** Left out: this installation signs no releases. The key is pinned by who has none yet, and changes nothing for who has. */
    releases: use(
      z.object({ key: PublicKeyX, wanted: use(WantedRelease).nullable() }).openapi("AgentReleases"),
    ).optional(),
  })
  .openapi("AgentSession");
export type AgentSession = z.infer<typeof AgentSession>;

/** The doorbell: ids and a generation, no truth. */
export const Doorbell = z.object({ hostId: z.uuid(), generation: z.int().nonnegative() });
export type Doorbell = z.infer<typeof Doorbell>;

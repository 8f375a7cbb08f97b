import { z } from "zod";

/* What `npm run bench:agent` and the agent that it measures say to each other. */

export const Given = z.object({
  hostId: z.uuid(),
  apiUrl: z.url(),
  uri: z.string(),
  folders: z.object({
    imageDir: z.string(),
    diskDir: z.string(),
    seedDir: z.string(),
    consoleDir: z.string(),
    trashDir: z.string(),
  }),
  stateDir: z.string(),
  libvirtd: z.int(),
});
/** CPU in seconds, memory in MB; of the hour after the first half, when all is warm and known. */
export const Taken = z.object({
  own: z.number(),
  children: z.number(),
  libvirt: z.number(),
  peakMb: z.number(),
  heapBeforeMb: z.number(),
  heapAfterMb: z.number(),
  samples: z.number(),
});
export type Taken = z.infer<typeof Taken>;

/*
 * The agents' wire (design §6), in this folder. Ids are bare UUIDs here: the agent writes them into the hypervisor's own
 * metadata. Everything an agent sends is untrusted input.
 *
 * Nothing here is strict: either side may be the newer one, and what it does not know it passes over. What an agent
 * must not pass over is named in `needs` (docs/adr/0013-agents-wire-changes.md). What agents of protocol 1 get is
 * written out, for good, in `protocol-1.ts`.
 */

/*
 * What an agent says of itself with each request, in two headers: which protocol it speaks, and the words it understands
 * (`DesiredVm.needs`). Both are untrusted, and decide only in which shape the answer comes.
 */

export const PROTOCOL_HEADER = "berth-protocol";
export const UNDERSTANDS_HEADER = "berth-understands";

/** The newest protocol: the one that this source's agent speaks. */
export const PROTOCOL = 2;

/** The VM's first boot gives root a password (`DesiredVm.rootPassword`): whoever passed it over would lock its owner out. */
export const ROOT_PASSWORD = "root-password";

/** The VM's image asks for a firmware, for secure boot or for a bus: whoever passed that over would make one that never boots. */
export const IMAGE_HARDWARE = "image-hardware";

/** A VM that its host has lost is to be brought back in a way that staff chose: whoever passed that over would leave it lost. */
export const REPAIR = "repair";

/** The disk of such a VM lies in the host's trash, and is to come back from there (`DesiredVm.repair`). */
export const RESTORE_TRASH = "restore-trash";

/** The VM moves from or to this host (`DesiredVm.move`): whoever passed that over might start what another host has. */
export const MOVE = "move";

/**
 * The words for `DesiredVm.needs` that this source's agent understands. A part that adds something which an agent must not
 * pass over adds its word here, and names it in each VM that has it.
 */
export const UNDERSTOOD: readonly string[] = [
  ROOT_PASSWORD,
  IMAGE_HARDWARE,
  REPAIR,
  RESTORE_TRASH,
  MOVE,
];

/** Who announces nothing speaks protocol 1, and gets its shapes (`protocol-1.ts`). */
export type Announced = Readonly<{ protocol: 1 | 2; understands: readonly string[] }>;

export const ANNOUNCES_NOTHING: Announced = { protocol: 1, understands: [] };

/** Of what an agent announces, the words that we have: we ask for no others, and keep none that somebody made up. */
export const ourWords = ({ understands }: Announced): readonly string[] =>
  UNDERSTOOD.filter((word) => understands.includes(word)).toSorted();

const MOST_WORDS = 100;
const MOST_CHARS = 4_000;
const WORD = /^[a-z][a-z0-9_-]{0,39}$/;

/** The headers that an agent sends. */
export const announcement = (understands: readonly string[] = UNDERSTOOD) => ({
  [PROTOCOL_HEADER]: String(PROTOCOL),
  [UNDERSTANDS_HEADER]: understands.join(","),
});

/**
 * What the headers of a request announce. A newer protocol than ours is answered in our newest; what is no protocol at all
 * announces nothing; what is no word is passed over. The words come sorted and once each.
 */
export function readAnnouncement(header: (name: string) => string | undefined): Announced {
  const protocol = header(PROTOCOL_HEADER)?.trim() ?? "";
  if (!/^[1-9]\d{0,3}$/.test(protocol) || Number(protocol) < PROTOCOL) return ANNOUNCES_NOTHING;
  const text = header(UNDERSTANDS_HEADER) ?? "";
  if (text.length > MOST_CHARS) return { protocol: PROTOCOL, understands: [] };
  const words = text.split(",").map((word) => word.trim());
  const known = [...new Set(words.filter((word) => WORD.test(word)))].sort();
  return { protocol: PROTOCOL, understands: known.slice(0, MOST_WORDS) };
}

import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  inet,
  integer,
  jsonb,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { FETCH_STATES } from "#core/hosts/image-fetch.ts";
import { IMAGE_SOURCES } from "#core/hosts/image-peers.ts";
import { HOST_STATES } from "#core/hosts/host-state.ts";
import { WINDOW_KINDS } from "#core/hosts/maintenance.ts";
import { accounts } from "./accounts.ts";
import { hypervisor, locations } from "./catalogue.ts";
import { instant } from "./columns.ts";

export const hostState = pgEnum("host_state", HOST_STATES);

/**
 * What hosts of a location are to a placement that looks past their room: those that agree in all of it are of one kind, and
 * there are few kinds where there are many hosts (docs/adr/0026). Made and found by triggers on `hosts` and `held_images`.
 */
export const hostKinds = pgTable(
  "host_kinds",
  {
    /** Of a hash of all the rest. */
    id: uuid("id").primaryKey(),
    locationId: uuid("location_id")
      .notNull()
      .references(() => locations.id),
    testOnly: boolean("test_only").notNull(),
    /** Of what the agents said (`HostFacts`), what placement goes by; read as a whole. */
    facts: jsonb("facts").notNull(),
    /** What they hold, by file (`HeldImage`); null: they do not say. */
    images: jsonb("images"),
    /** Of our words (`UNDERSTOOD`), those that their agents announce; null: they have not been heard of since we keep it. */
    understands: text("understands").array(),
  },
  (t) => [index("host_kinds_location_idx").on(t.locationId)],
);

/** Releases of the agent that staff have registered; whoever made one signed its manifest. */
export const agentReleases = pgTable(
  "agent_releases",
  {
    id: uuid("id").primaryKey(),
    /** As `HostFacts.agentVersion` has it. */
    version: text("version").notNull(),
    manifestUrl: text("manifest_url").notNull(),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [uniqueIndex("agent_releases_version_key").on(t.version)],
);

export const hosts = pgTable(
  "hosts",
  {
    id: uuid("id").primaryKey(),
    name: text("name").notNull(),
    locationId: uuid("location_id")
      .notNull()
      .references(() => locations.id),
    state: hostState("state").notNull().default("enrolling"),
    /** Staff marked it for tests: its guests may be emulated or simulated, and what shows them is believed. */
    testOnly: boolean("test_only").notNull().default(false),
    /** null until the agent has enrolled and said so. */
    hypervisor: hypervisor("hypervisor"),
    accelerator: text("accelerator"),
    /** What the agent said of the host, as a whole; only read by people and the planner's capabilities. */
    facts: jsonb("facts"),
    /** Of that, its agent's version, by which rollouts and staff's lists go. */
    agentVersion: text("agent_version").generatedAlwaysAs(sql`facts ->> 'agentVersion'`),
    /** The version that it is to have; null: whatever it has. */
    wantedReleaseId: uuid("wanted_release_id").references(() => agentReleases.id),
    /** Staff's word for hosts that are treated alike; null: of none. */
    hostGroup: text("host_group"),
    /** Of our words (`UNDERSTOOD`), those that its agent announced last; null: it was not heard of since we keep it. */
    understands: text("understands").array(),
    /** Whether its agent says which images it holds (`held_images`); one that does not is taken to hold all. */
    tellsImages: boolean("tells_images").notNull().default(false),
    /** Kept by triggers; null: it has not said yet what it is. */
    kindId: uuid("kind_id").references(() => hostKinds.id),
    /** The most that staff let it give away: the agent's word only lowers it. */
    ceilingVcpus: integer("ceiling_vcpus").notNull().default(0),
    ceilingMemoryMib: integer("ceiling_memory_mib").notNull().default(0),
    ceilingDiskGib: integer("ceiling_disk_gib").notNull().default(0),
    /** What may be given away: measured size × overcommit − reserve, up to the ceiling. */
    capacityVcpus: integer("capacity_vcpus").notNull().default(0),
    capacityMemoryMib: integer("capacity_memory_mib").notNull().default(0),
    capacityDiskGib: integer("capacity_disk_gib").notNull().default(0),
    capacityVms: integer("capacity_vms").notNull().default(0),
    /** What is given away: the sum over reservations that are not released. */
    allocatedVcpus: integer("allocated_vcpus").notNull().default(0),
    allocatedMemoryMib: integer("allocated_memory_mib").notNull().default(0),
    allocatedDiskGib: integer("allocated_disk_gib").notNull().default(0),
    allocatedVms: integer("allocated_vms").notNull().default(0),
    cpuOvercommit: integer("cpu_overcommit").notNull().default(4),
    queueUrl: text("queue_url"),
    /** The agent's Ed25519 public key (JWK `x`) and how often it has enrolled. */
    publicKey: text("public_key"),
    identityEpoch: integer("identity_epoch").notNull().default(0),
    /** Counts changes of the host's whole desired document. */
    desiredGeneration: integer("desired_generation").notNull().default(0),
    /** The generation and the content's hash that the agent was last given; null: none yet. */
    servedGeneration: integer("served_generation"),
    servedHash: text("served_hash"),
    /**
     * The generation that the database knew of when it was restored to an earlier state; null: its agent has been heard since,
     * or there was no such thing (docs/adr/0040). What the agent holds above it was made in the hours that are lost.
     */
    restoredGeneration: integer("restored_generation"),
    /** By how much the generations of its VMs were raised after restores. */
    raisedBy: integer("raised_by").notNull().default(0),
    /** Until then it is told to destroy nothing. */
    destroysHeldUntil: instant("destroys_held_until"),
    /** The newest report that counted (`ReportSerial`); null: none since it enrolled, or its agent does not count. */
    reportProcess: integer("report_process"),
    reportSeq: integer("report_seq"),
    /** The host's clock less ours, as its agent last said; null: it does not say. */
    clockOffsetSeconds: integer("clock_offset_seconds"),
    /** Until when it was announced that somebody is at it: it may be silent as long. null: it is not in maintenance. */
    maintenanceUntil: instant("maintenance_until"),
    lastSeenAt: instant("last_seen_at"),
    /** The two minutes in which that was: an index of these moves with every other report, and with none in between. */
    heardIn: instant("heard_in").generatedAlwaysAs(
      sql`date_bin('2 minutes', last_seen_at, '2000-01-01T00:00:00Z')`,
    ),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("hosts_name_key").on(t.name),
    // Staff's lists by name, and search by its beginning.
    index("hosts_by_name_idx").on(sql`${t.name} collate "C"`, t.id),
    // The most memory first. The rest is there so that hosts without room in it are passed over without being read.
    index("hosts_room_idx")
      .on(
        t.kindId,
        sql`(${t.capacityMemoryMib} - ${t.allocatedMemoryMib}) desc`,
        t.id,
        sql`(${t.capacityVcpus} - ${t.allocatedVcpus})`,
        sql`(${t.capacityDiskGib} - ${t.allocatedDiskGib})`,
        sql`(${t.capacityVms} - ${t.allocatedVms})`,
      )
      .where(sql`${t.state} = 'active'`),
    index("hosts_kind_idx").on(t.kindId),
    // Staff's lists. Most hosts are active, and are found without.
    index("hosts_location_idx").on(t.locationId, t.id),
    index("hosts_state_idx")
      .on(t.state, t.id)
      .where(sql`${t.state} <> 'active'`),
    index("hosts_group_idx")
      .on(t.hostGroup, t.id)
      .where(sql`${t.hostGroup} is not null`),
    // Few versions on many hosts: which there are, and who has one that is too old.
    index("hosts_agent_version_idx")
      .on(t.agentVersion)
      .where(sql`${t.state} not in ('enrolling', 'retired')`),
    index("hosts_heard_idx")
      .on(t.heardIn)
      .where(sql`${t.state} not in ('enrolling', 'retired')`),
    check(
      "hosts_never_oversold",
      sql`${t.allocatedVcpus} between 0 and ${t.capacityVcpus}
        and ${t.allocatedMemoryMib} between 0 and ${t.capacityMemoryMib}
        and ${t.allocatedDiskGib} between 0 and ${t.capacityDiskGib}
        and ${t.allocatedVms} between 0 and ${t.capacityVms}`,
    ),
    check(
      "hosts_ceiling_not_negative",
      sql`${t.ceilingVcpus} >= 0 and ${t.ceilingMemoryMib} >= 0 and ${t.ceilingDiskGib} >= 0`,
    ),
    check(
      "hosts_served_is_desired",
      sql`(${t.servedGeneration} is null) = (${t.servedHash} is null)
        and ${t.servedGeneration} <= ${t.desiredGeneration}`,
    ),
    check(
      "hosts_report_serial_whole",
      sql`(${t.reportProcess} is null) = (${t.reportSeq} is null)`,
    ),
    // As text: a migration may not use a state that it adds.
    check(
      "hosts_maintenance_ends",
      sql`(${t.state}::text = 'maintenance') = (${t.maintenanceUntil} is not null)`,
    ),
    check(
      "hosts_active_is_enrolled",
      sql`${t.state} in ('enrolling', 'retired') or (${t.publicKey} is not null and ${t.hypervisor} is not null)`,
    ),
  ],
);

export const windowKind = pgEnum("window_kind", WINDOW_KINDS);

/**
 * Times in which a host's VMs may be interrupted (`core/hosts/maintenance.ts`). Rows are for good. Whoever changes one holds its host's row.
 */
export const maintenanceWindows = pgTable(
  "maintenance_windows",
  {
    id: uuid("id").primaryKey(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    kind: windowKind("kind").notNull().default("maintenance"),
    startsAt: instant("starts_at").notNull(),
    endsAt: instant("ends_at").notNull(),
    noticeHours: integer("notice_hours").notNull(),
    /** When customers are told of it: so many hours before it begins. */
    noticeAt: instant("notice_at").notNull(),
    revision: integer("revision").notNull().default(1),
    begunAt: instant("begun_at"),
    endedAt: instant("ended_at"),
    cancelledAt: instant("cancelled_at"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [
    uniqueIndex("maintenance_windows_one_open_key")
      .on(t.hostId, t.kind)
      .where(sql`${t.endedAt} is null and ${t.cancelledAt} is null`),
    index("maintenance_windows_notice_idx")
      .on(t.noticeAt)
      .where(sql`${t.endedAt} is null and ${t.cancelledAt} is null`),
    check("maintenance_windows_in_order", sql`${t.startsAt} < ${t.endsAt}`),
    check(
      "maintenance_windows_notice_before",
      sql`${t.noticeHours} >= 0 and ${t.noticeAt} <= ${t.startsAt}`,
    ),
    check(
      "maintenance_windows_one_end",
      sql`(${t.endedAt} is null or ${t.begunAt} is not null) and (${t.cancelledAt} is null or ${t.begunAt} is null)`,
    ),
  ],
);

/** Who is told, or was, of which revision of a window: once each. Rows are for good. */
export const maintenanceNotices = pgTable(
  "maintenance_notices",
  {
    id: uuid("id").primaryKey(),
    windowId: uuid("window_id")
      .notNull()
      .references(() => maintenanceWindows.id),
    accountId: uuid("account_id")
      .notNull()
      .references(() => accounts.id),
    revision: integer("revision").notNull(),
    createdAt: instant("created_at").notNull(),
    /** When nothing more is to be done of it: it was mailed, or there was nothing to say any more. */
    settledAt: instant("settled_at"),
    mailed: boolean("mailed").notNull().default(false),
  },
  (t) => [
    uniqueIndex("maintenance_notices_once_key").on(t.windowId, t.accountId, t.revision),
    index("maintenance_notices_unsettled_idx")
      .on(t.createdAt)
      .where(sql`${t.settledAt} is null`),
    check(
      "maintenance_notices_mailed_is_settled",
      sql`not ${t.mailed} or ${t.settledAt} is not null`,
    ),
  ],
);

/** Which Berth this is: one row, made by its migration and never changed. VMs' tags bear it (docs/adr/0039). */
export const installation = pgTable(
  "installation",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    /** Always true: there is no second row. */
    only: boolean("only").notNull().default(true),
  },
  (t) => [
    uniqueIndex("installation_only_key").on(t.only),
    check("installation_is_one", sql`${t.only}`),
  ],
);

/** How many hosts are in a state: kept by triggers on `hosts`, so that nobody counts them (docs/adr/0034). */
export const hostCounts = pgTable("host_counts", {
  state: hostState("state").primaryKey(),
  hosts: integer("hosts").notNull(),
});

/** What lies in the image folders of hosts, as their agents last said. */
export const heldImages = pgTable(
  "held_images",
  {
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    file: text("file").notNull(),
    virtualBytes: bigint("virtual_bytes", { mode: "number" }).notNull(),
    sha256: text("sha256"),
    changed: boolean("changed").notNull(),
  },
  (t) => [primaryKey({ name: "held_images_pkey", columns: [t.hostId, t.file] })],
);

export const imageFetchState = pgEnum("image_fetch_state", FETCH_STATES);
export const imageSourceKind = pgEnum("image_source_kind", IMAGE_SOURCES);

/** How far hosts are with the images that they should hold, as their agents last said. */
export const imageFetches = pgTable(
  "image_fetches",
  {
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    file: text("file").notNull(),
    state: imageFetchState("state").notNull(),
    doneBytes: bigint("done_bytes", { mode: "number" }).notNull(),
    totalBytes: bigint("total_bytes", { mode: "number" }),
    why: text("why"),
    /** Whence it comes, or came last; null: it does not say. */
    source: imageSourceKind("source"),
    /** Of another host. Refers to nothing: it is its agent's word. */
    peerId: uuid("peer_id"),
  },
  (t) => [
    primaryKey({ name: "image_fetches_pkey", columns: [t.hostId, t.file] }),
    check(
      "image_fetches_peer_named",
      sql`(${t.source} is not distinct from 'peer') = (${t.peerId} is not null)`,
    ),
  ],
);

/** Where other hosts may fetch images from a host, as its agent last said. */
export const imageServers = pgTable(
  "image_servers",
  {
    hostId: uuid("host_id")
      .primaryKey()
      .references(() => hosts.id),
    /** On the ring of all hosts (`placeOf`). */
    place: integer("place").notNull(),
    address: inet("address").notNull(),
    port: integer("port").notNull(),
    /** By which it checks askers' tokens, sealed; gone with its agent's process. */
    sealedKey: text("sealed_key").notNull(),
  },
  (t) => [
    index("image_servers_place_idx").on(t.place),
    check("image_servers_port", sql`${t.port} between 1 and 65535`),
  ],
);

/** What is or was amiss with a host or what is on it (`core/hosts/finding.ts`). Rows are for good. */
export const findings = pgTable(
  "findings",
  {
    id: uuid("id").primaryKey(),
    /** One of ours, or a word of its agent's. */
    kind: text("kind").notNull(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    /** What it is about: a VM's id, the host's, a file's name. */
    subject: text("subject").notNull(),
    /** Of what is about a VM. Refers to nothing: a stranger may be nobody's. */
    vmId: uuid("vm_id"),
    firstSeenAt: instant("first_seen_at").notNull(),
    lastSeenAt: instant("last_seen_at").notNull(),
    endedAt: instant("ended_at"),
    /** For people; as it was told last. */
    detail: text("detail").notNull(),
  },
  (t) => [
    uniqueIndex("findings_one_open_key")
      .on(t.hostId, t.kind, t.subject)
      .where(sql`${t.endedAt} is null`),
    // Lists of staff: what is open, of all hosts, the newest first.
    index("findings_open_idx")
      .on(t.id)
      .where(sql`${t.endedAt} is null`),
    index("findings_host_idx").on(t.hostId, t.id),
    index("findings_kind_idx").on(t.kind, t.id),
    index("findings_vm_idx")
      .on(t.vmId, t.id)
      .where(sql`${t.vmId} is not null`),
    check(
      "findings_in_order",
      sql`${t.firstSeenAt} <= ${t.lastSeenAt} and ${t.firstSeenAt} <= coalesce(${t.endedAt}, ${t.firstSeenAt})`,
    ),
  ],
);

/** Each time that staff said that the database was restored to an earlier state. */
export const restores = pgTable(
  "restores",
  {
    id: uuid("id").primaryKey(),
    /** The state that it was restored to: what came about since is lost. */
    restoredTo: instant("restored_to").notNull(),
    recordedAt: instant("recorded_at").notNull(),
    /** The provider's event up to which those since `restoredTo` are taken in again, the newest first; null: none yet. */
    eventsAfter: text("events_after"),
    /** When all of them were taken in. */
    eventsReadAt: instant("events_read_at"),
  },
  (t) => [
    uniqueIndex("restores_restored_to_key").on(t.restoredTo),
    index("restores_unread_idx")
      .on(t.id)
      .where(sql`${t.eventsReadAt} is null`),
    check("restores_to_the_past", sql`${t.restoredTo} <= ${t.recordedAt}`),
  ],
);

/** VMs that hosts hold and a restored database does not know, as their agents knew them: kept for whoever adopts them. */
export const unknownVms = pgTable("unknown_vms", {
  vmId: uuid("vm_id").primaryKey(),
  hostId: uuid("host_id")
    .notNull()
    .references(() => hosts.id),
  ownerEpoch: integer("owner_epoch").notNull(),
  hostname: text("hostname").notNull(),
  /** Refers to nothing: it may be as new as the VM. */
  imageId: uuid("image_id").notNull(),
  vcpus: integer("vcpus").notNull(),
  memoryMib: integer("memory_mib").notNull(),
  diskGib: integer("disk_gib").notNull(),
  address: inet("address").notNull(),
  toldAt: instant("told_at").notNull(),
});

/** Single-use join tokens, stored hashed and bound to one host. */
export const joinTokens = pgTable(
  "join_tokens",
  {
    tokenHash: text("token_hash").primaryKey(),
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    expiresAt: instant("expires_at").notNull(),
    usedAt: instant("used_at"),
    createdAt: instant("created_at").notNull(),
  },
  (t) => [index("join_tokens_host_idx").on(t.hostId)],
);

/** Ids (`jti`) of agents' tokens that something was handed out for, until the tokens are worth nothing. */
export const spentAgentTokens = pgTable(
  "spent_agent_tokens",
  {
    hostId: uuid("host_id")
      .notNull()
      .references(() => hosts.id),
    jti: text("jti").notNull(),
    expiresAt: instant("expires_at").notNull(),
  },
  (t) => [
    primaryKey({ name: "spent_agent_tokens_pkey", columns: [t.hostId, t.jti] }),
    index("spent_agent_tokens_expires_idx").on(t.expiresAt),
  ],
);

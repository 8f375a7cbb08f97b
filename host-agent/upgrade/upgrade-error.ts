/** Why no upgrade was made. `not_reached` and `no_room` may pass by themselves; all others stay as they are until somebody acts. */
export type UpgradeFault =
  | "no_key"
  | "no_launcher"
  | "not_signed"
  | "bad_manifest"
  | "other_version"
  | "other_platform"
  | "older"
  | "checksum"
  | "bad_archive"
  | "does_not_start"
  | "not_reached"
  | "no_room"
  | "no_previous"
  | "on_trial";

const MAY_PASS: ReadonlySet<UpgradeFault> = new Set(["not_reached", "no_room"]);

/** The release that runs goes on running. The message is for people, in one line. */
export class UpgradeError extends Error {
  override name = "UpgradeError";
  readonly code: UpgradeFault;
  constructor(code: UpgradeFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
  get mayPass(): boolean {
    return MAY_PASS.has(this.code);
  }
}

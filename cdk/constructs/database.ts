import { Duration, RemovalPolicy } from "aws-cdk-lib";
import {
  AuroraPostgresEngineVersion,
  ClusterInstance,
  Credentials,
  DatabaseCluster,
  DatabaseClusterEngine,
  DBClusterStorageType,
} from "aws-cdk-lib/aws-rds";
import { Secret, type ISecret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";
import type { StageSettings } from "../stage.ts";
import { FIVE_MINUTES, type Alarms } from "./alarms.ts";
import type { Network } from "./network.ts";

type LoginSecret = Pick<ISecret, "secretArn">;

const DATABASE = "berth";
/** Not Postgres' own 5432: the port is in the secret, and every client reads it there. */
const PORT = 6543;

/** Aurora PostgreSQL Serverless v2. Billing and placement talk to the writer; readers stand by to take over. */
export class Database extends Construct {
  /** The owner's, for migrations alone. As `commands/runtime.ts` reads it: host, port, username, password, dbname. */
  readonly secret: ISecret;
  /** Of those who are let in with the rights of functions. */
  readonly logins: LoginSecret[] = [];
  readonly #cluster: DatabaseCluster;

  constructor(
    scope: Construct,
    id: string,
    props: { network: Network; settings: StageSettings; alarms: Alarms },
  ) {
    super(scope, id);
    const { network, settings, alarms } = props;
    const { minAcu, maxAcu, readers, backupDays } = settings.database;
    const cluster = new DatabaseCluster(this, "Cluster", {
      engine: DatabaseClusterEngine.auroraPostgres({
        version: AuroraPostgresEngineVersion.VER_18_6,
      }),
      writer: ClusterInstance.serverlessV2("writer"),
      readers: Array.from({ length: readers }, (_, n) =>
        ClusterInstance.serverlessV2(`reader${n + 1}`, { scaleWithWriter: true }),
      ),
      serverlessV2MinCapacity: minAcu,
      serverlessV2MaxCapacity: maxAcu,
      credentials: Credentials.fromGeneratedSecret("berth"),
      defaultDatabaseName: DATABASE,
      port: PORT,
      vpc: network.vpc,
      vpcSubnets: network.databaseSubnets,
      storageEncrypted: true,
      storageType: DBClusterStorageType.AURORA,
      iamAuthentication: true,
      parameters: { "rds.force_ssl": "1" },
      backup: { retention: Duration.days(backupDays) },
      copyTagsToSnapshot: true,
      cloudwatchLogsExports: ["postgresql"],
      deletionProtection: settings.protect,
      // The ledger is in it: deleting the stack leaves a snapshot.
      removalPolicy: settings.protect ? RemovalPolicy.RETAIN : RemovalPolicy.SNAPSHOT,
    });
    cluster.connections.allowDefaultPortFrom(network.functions, "Lambdas");
    if (cluster.secret === undefined) throw new Error("the cluster has no secret");
    this.secret = cluster.secret;
    this.#cluster = cluster;
    alarms.when(this, "Full", {
      metric: cluster.metricACUUtilization(FIVE_MINUTES),
      threshold: 90,
      of: 3,
      description: "The database runs at its most capacity. Raise maxAcu in cdk/stage.ts.",
    });
  }

  /**
   * A function's own log-in, which the migration lets in with the rights of functions and no more (ADR 0022). Its secret has
   * the owner's shape.
   */
  loginOf(name: string): LoginSecret {
    const login = new Secret(this, `LoginOf${name}`, {
      description: `Postgres: what ${name} logs in with`,
      generateSecretString: {
        secretStringTemplate: JSON.stringify({
          username: `berth_${name.toLowerCase()}`,
          host: this.#cluster.clusterEndpoint.hostname,
          port: PORT,
          dbname: DATABASE,
        }),
        generateStringKey: "password",
        passwordLength: 40,
        excludePunctuation: true,
      },
    });
    this.logins.push(login);
    return login;
  }
}

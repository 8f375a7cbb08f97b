import { CfnOutput, CfnParameter, Duration, Stack, type StackProps } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { FilterPattern, MetricFilter } from "aws-cdk-lib/aws-logs";
import { Schedule, ScheduleExpression } from "aws-cdk-lib/aws-scheduler";
import { LambdaInvoke } from "aws-cdk-lib/aws-scheduler-targets";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { Trigger } from "aws-cdk-lib/triggers";
import type { Construct } from "constructs";
import type { Currency } from "#core/money.ts";
import { acknowledgeFindings } from "./acknowledged-findings.ts";
import { Alarms } from "./constructs/alarms.ts";
import { BerthFunction } from "./constructs/berth-function.ts";
import { Database } from "./constructs/database.ts";
import { type ApiDomain, type EntranceKey, Front } from "./constructs/front.ts";
import { HostAccess } from "./constructs/host-access.ts";
import { Network } from "./constructs/network.ts";
import { PublicApi } from "./constructs/public-api.ts";
import { QueueWithAlarms } from "./constructs/queue-with-alarms.ts";
import { SentMail } from "./constructs/sent-mail.ts";
import type { FunctionBundles } from "./bundle/bundle.ts";
import { STAGE_SETTINGS, type Stage } from "./stage.ts";

/** Of a batch: Stripe is asked with 8 s and two retries (`adapters/stripe.ts`), and the database with 10 s. */
const CONSUMER_TIMEOUT = Duration.seconds(60);
/** An HTTP API gives up at 30 s (facts/aws); the function must end first, to say so in its log. */
const API_TIMEOUT = Duration.seconds(28);
/** Messages of one batch are worked on side by side, over two connections. */
const BATCH = 5;

export type BerthStackProps = StackProps &
  Readonly<{
    stage: Stage;
    bundles: FunctionBundles;
    domain?: ApiDomain | undefined;
    entranceKey: EntranceKey;
    alarmEmail?: string | undefined;
    /** Whom mail is from. SES must have verified its domain; without an address no mail is sent. */
    mailFrom?: string | undefined;
    /** The public key of whoever signs the agents' releases; without one agents are told of none. */
    releaseKey?: string | undefined;
    /** One member of staff alone may destroy what is a customer's; two unless given. */
    oneMayDestroy?: "yes" | undefined;
    /** What is ordered in where nobody says; US dollars unless given. */
    currency?: Currency | undefined;
  }>;

/** The whole control plane of one stage (design §9). */
export class BerthStack extends Stack {
  /** What an operator needs to know after a deployment. */
  readonly outputs: readonly CfnOutput[];
  readonly everyMinute: Schedule;

  constructor(scope: Construct, id: string, props: BerthStackProps) {
    super(scope, id, props);
    const settings = STAGE_SETTINGS[props.stage];
    const alarms = new Alarms(this, "Alarms", { email: props.alarmEmail });
    const network = new Network(this, "Network", { settings, alarms });
    const database = new Database(this, "Database", { network, settings, alarms });
    const publicApi = new PublicApi(this, "PublicApi", { settings, alarms });
    // Two values, of which the second is set when the first is to be changed.
    const entrance = new Secret(this, "EntranceSecret", {
      description: "What CloudFront shows at the API: {a, b}",
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ b: "" }),
        generateStringKey: "a",
        passwordLength: 64,
        excludePunctuation: true,
      },
    });
    const front = new Front(this, "Front", {
      apiEndpoint: publicApi.endpoint,
      entrance,
      entranceKey: props.entranceKey,
      webAclArn: new CfnParameter(this, "WebAclArn", {
        description: "The output WebAclArn of this stage's edge stack, in us-east-1",
        allowedPattern: "arn:[a-z-]+:wafv2:us-east-1:\\d{12}:global/webacl/.+",
      }).valueAsString,
      domain: props.domain,
    });

    const forConsumer = { alarms, consumerTimeout: CONSUMER_TIMEOUT };
    const { queue: purchases } = new QueueWithAlarms(this, "Purchases", forConsumer);
    const { queue: billingEvents } = new QueueWithAlarms(this, "BillingEvents", forConsumer);
    const { queue: outboxEvents } = new QueueWithAlarms(this, "OutboxEvents", forConsumer);
    const { queue: mailEvents } = new QueueWithAlarms(this, "MailEvents", forConsumer);

    // Until it is filled in (docs/runbooks/deploy-aws.md), nobody knows the webhook's secret and no key is valid.
    const stripeSecret = new Secret(this, "StripeSecret", {
      description: "Stripe: {apiKey, webhookSecret}",
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ apiKey: "not-set" }),
        generateStringKey: "webhookSecret",
        excludePunctuation: true,
      },
    });
    const authSecret = new Secret(this, "AuthSecret", {
      description: "Signs cookies and encrypts second factors: a new value logs everybody out",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    });
    const sealingSecret = new Secret(this, "SealingSecret", {
      description: "Seals first passwords: with a new value, those that nobody took are lost",
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    });

    const shared = {
      home: {
        vpc: network.vpc,
        subnets: network.functionSubnets,
        securityGroup: network.functions,
        logRetention: settings.logRetention,
        alarms,
      },
      environment: {
        BERTH_PUBLIC_URL: front.url,
        BERTH_STRIPE_SECRET_ARN: stripeSecret.secretArn,
        BERTH_AUTH_SECRET_ARN: authSecret.secretArn,
        BERTH_SEALING_SECRET_ARN: sealingSecret.secretArn,
        BERTH_PURCHASES_URL: purchases.queueUrl,
        BERTH_BILLING_EVENTS_URL: billingEvents.queueUrl,
        BERTH_OUTBOX_EVENTS_URL: outboxEvents.queueUrl,
      },
    };
    // `createRuntime` of `commands/runtime.ts` reads all four, whatever the worker; it logs in to Postgres as itself.
    const asWorker = (id: string) => {
      const login = database.loginOf(id);
      return {
        ...shared,
        secrets: [login, stripeSecret, authSecret, sealingSecret],
        environment: { ...shared.environment, BERTH_DATABASE_SECRET_ARN: login.secretArn },
      };
    };
    const asApi = asWorker("Api");
    const forHttp = { BERTH_ENTRANCE_SECRET_ARN: entrance.secretArn };
    const api = new BerthFunction(this, "Api", {
      ...asApi,
      secrets: [...asApi.secrets, entrance],
      environment: { ...asApi.environment, ...forHttp },
      bundle: props.bundles.api,
      memoryMib: 1024,
      timeout: API_TIMEOUT,
      reserved: settings.reserved.api,
      sendsTo: [outboxEvents],
    });
    const agentLogin = database.loginOf("Agent");
    const agent = new BerthFunction(this, "Agent", {
      home: shared.home,
      secrets: [agentLogin, sealingSecret, entrance],
      environment: {
        BERTH_PUBLIC_URL: shared.environment.BERTH_PUBLIC_URL,
        BERTH_DATABASE_SECRET_ARN: agentLogin.secretArn,
        BERTH_SEALING_SECRET_ARN: shared.environment.BERTH_SEALING_SECRET_ARN,
        BERTH_OUTBOX_EVENTS_URL: shared.environment.BERTH_OUTBOX_EVENTS_URL,
        ...forHttp,
      },
      bundle: props.bundles["agent-api"],
      memoryMib: 1024,
      timeout: API_TIMEOUT,
      reserved: settings.reserved["agent-api"],
      sendsTo: [outboxEvents],
    });
    for (const each of [api, agent])
      if (props.releaseKey !== undefined)
        each.function.addEnvironment("BERTH_RELEASE_KEY", props.releaseKey);
    if (props.oneMayDestroy !== undefined)
      api.function.addEnvironment("BERTH_ONE_MAY_DESTROY", props.oneMayDestroy);
    if (props.currency !== undefined) api.function.addEnvironment("BERTH_CURRENCY", props.currency);
    const logInLogin = database.loginOf("LogIn");
    const logIn = new BerthFunction(this, "LogIn", {
      home: shared.home,
      secrets: [logInLogin, authSecret, entrance],
      environment: {
        ...forHttp,
        BERTH_PUBLIC_URL: shared.environment.BERTH_PUBLIC_URL,
        BERTH_DATABASE_SECRET_ARN: logInLogin.secretArn,
        BERTH_AUTH_SECRET_ARN: shared.environment.BERTH_AUTH_SECRET_ARN,
      },
      bundle: props.bundles["log-in"],
      // A password's hash takes 32 MiB and as much processor as there is, which comes with memory.
      memoryMib: 1024,
      timeout: API_TIMEOUT,
      reserved: settings.reserved["log-in"],
    });
    const webhookLogin = database.loginOf("StripeWebhook");
    const stripeWebhook = new BerthFunction(this, "StripeWebhook", {
      home: shared.home,
      secrets: [webhookLogin, stripeSecret, entrance],
      environment: {
        BERTH_DATABASE_SECRET_ARN: webhookLogin.secretArn,
        BERTH_STRIPE_SECRET_ARN: shared.environment.BERTH_STRIPE_SECRET_ARN,
        BERTH_BILLING_EVENTS_URL: shared.environment.BERTH_BILLING_EVENTS_URL,
        ...forHttp,
      },
      bundle: props.bundles["stripe-webhook"],
      memoryMib: 512,
      timeout: Duration.seconds(15),
      reserved: settings.reserved["stripe-webhook"],
      sendsTo: [purchases, billingEvents],
    });
    const consumer = { memoryMib: 512, timeout: CONSUMER_TIMEOUT };
    const billingConsumer = new BerthFunction(this, "BillingEventsConsumer", {
      ...asWorker("BillingEventsConsumer"),
      ...consumer,
      bundle: props.bundles["billing-events"],
      sendsTo: [outboxEvents],
    });
    const outboxConsumer = new BerthFunction(this, "OutboxEventsConsumer", {
      ...asWorker("OutboxEventsConsumer"),
      ...consumer,
      bundle: props.bundles["outbox-events"],
      sendsTo: [outboxEvents],
    });
    const sweep = new BerthFunction(this, "Sweep", {
      ...asWorker("Sweep"),
      bundle: props.bundles.sweep,
      memoryMib: 512,
      timeout: Duration.minutes(2),
      reserved: settings.reserved.sweep,
      sendsTo: [purchases, billingEvents, outboxEvents],
    });
    // What somebody waits for goes out at once; all else, and what was not taken, with the sweep.
    const mailEventsLogin = database.loginOf("MailEventsConsumer");
    const mailEventsConsumer = new BerthFunction(this, "MailEventsConsumer", {
      home: shared.home,
      secrets: [mailEventsLogin],
      environment: { BERTH_DATABASE_SECRET_ARN: mailEventsLogin.secretArn },
      ...consumer,
      bundle: props.bundles["mail-events"],
    });
    const { configurationSet } = new SentMail(this, "SentMail", { into: mailEvents });
    if (props.mailFrom !== undefined)
      for (const sender of [outboxConsumer, sweep])
        this.#maySendMail(sender, props.mailFrom, configurationSet.configurationSetName);
    new HostAccess(this, "Hosts", { agent }).mayRing([
      api,
      agent,
      billingConsumer,
      outboxConsumer,
      sweep,
    ]);
    publicApi.serve({
      api: api.function,
      "agent-api": agent.function,
      "log-in": logIn.function,
      "stripe-webhook": stripeWebhook.function,
    });
    for (const [queue, reader, batchSize] of [
      // A buyer waits for no other one: not in line behind renewals, and not for the slowest of a batch.
      [purchases, billingConsumer, 1],
      [billingEvents, billingConsumer, BATCH],
      [outboxEvents, outboxConsumer, BATCH],
      [mailEvents, mailEventsConsumer, BATCH],
    ] as const)
      reader.function.addEventSource(
        new SqsEventSource(queue, {
          batchSize,
          reportBatchItemFailures: true,
          maxConcurrency: settings.consumers,
        }),
      );
    // Money that no book knows of is told once, by whoever applies the delivery (`commands/orders/apply-billing-event.ts`).
    const unhandled = new MetricFilter(this, "PaymentUnhandled", {
      logGroup: billingConsumer.logGroup,
      filterPattern: FilterPattern.stringValue("$.message", "=", "apply_billing_event.unhandled"),
      metricNamespace: this.stackName,
      metricName: "PaymentUnhandled",
    });
    alarms.when(this, "PaymentUnhandledAlarm", {
      metric: unhandled.metric({ statistic: "Sum", period: Duration.minutes(1) }),
      threshold: 1,
      description:
        "Stripe told of something of a customer of ours that leads to no order. It is told once; see docs/runbooks/monitoring.md.",
    });
    this.everyMinute = this.#sweepEveryMinute(sweep, [agent, billingConsumer], alarms);
    const addStaffLogin = database.loginOf("AddStaff");
    // Nothing calls it but who may invoke functions here: staff begin with it (docs/runbooks/deploy-aws.md).
    const addStaff = new BerthFunction(this, "AddStaff", {
      home: shared.home,
      secrets: [addStaffLogin],
      environment: {
        BERTH_PUBLIC_URL: shared.environment.BERTH_PUBLIC_URL,
        BERTH_DATABASE_SECRET_ARN: addStaffLogin.secretArn,
      },
      bundle: props.bundles["add-staff"],
      memoryMib: 256,
      timeout: API_TIMEOUT,
    });
    this.#migrateBefore(
      [
        api,
        agent,
        logIn,
        stripeWebhook,
        billingConsumer,
        outboxConsumer,
        mailEventsConsumer,
        sweep,
        addStaff,
      ],
      { network, database },
      { home: shared.home, bundle: props.bundles.migrate },
    );

    this.outputs = Object.entries({
      ApiUrl: front.url,
      StripeSecretArn: stripeSecret.secretArn,
      EntranceSecretArn: entrance.secretArn,
      AddStaffFunction: addStaff.function.functionName,
      ...(props.domain === undefined ? {} : { DnsTarget: front.dnsTarget }),
    }).map(([name, value]) => new CfnOutput(this, name, { value }));
    acknowledgeFindings(this, props.stage);
  }

  /** From this one address, by the identity of its domain, and by the configuration set that tells what became of it. */
  #maySendMail(sender: BerthFunction, from: string, configurationSet: string): void {
    const arnOf = (resource: string, resourceName: string) =>
      this.formatArn({ service: "ses", resource, resourceName });
    sender.function.addEnvironment("BERTH_MAIL_FROM", from);
    sender.function.addEnvironment("BERTH_MAIL_EVENTS", configurationSet);
    sender.role.addToPolicy(
      new PolicyStatement({
        actions: ["ses:SendEmail"],
        resources: [
          arnOf("identity", from.slice(from.lastIndexOf("@") + 1)),
          arnOf("configuration-set", configurationSet),
        ],
        conditions: { StringEquals: { "ses:FromAddress": from } },
      }),
    );
  }

  #sweepEveryMinute(
    sweep: BerthFunction,
    [agent, billing]: readonly [BerthFunction, BerthFunction],
    alarms: Alarms,
  ): Schedule {
    sweep.function.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });
    alarms.when(this, "SweepStopped", {
      metric: sweep.function.metricInvocations({ period: Duration.minutes(5) }),
      threshold: 1,
      below: true,
      missingIsBad: true,
      description: "No sweep in five minutes: what a crash or a lost message left stays undone.",
    });
    // Invariant 20: no outbox row stays unsent without an alarm. `commands/check-health.ts` says what is too long.
    const stuck = new MetricFilter(this, "OutboxStuck", {
      logGroup: sweep.logGroup,
      filterPattern: FilterPattern.all(
        FilterPattern.stringValue("$.message", "=", "sweep.check_health"),
        FilterPattern.booleanValue("$.ok", false),
      ),
      metricNamespace: this.stackName,
      metricName: "OutboxStuck",
    });
    alarms.when(this, "OutboxStuckAlarm", {
      metric: stuck.metric({ statistic: "Sum", period: Duration.minutes(1) }),
      threshold: 1,
      of: 3,
      in: 2,
      description:
        "Rows of the outbox stay unsent: hosts and consumers are not rung. See relay_outbox.failed in the sweep's log.",
    });
    // What is amiss is told once, by whoever finds it out: reports, deliveries, or the sweep (`commands/hosts/note-findings.ts`).
    const openedBy = (name: string, { logGroup }: BerthFunction) =>
      new MetricFilter(this, `FindingOpened${name}`, {
        logGroup,
        filterPattern: FilterPattern.stringValue("$.message", "=", "finding.opened"),
        metricNamespace: this.stackName,
        metricName: "FindingOpened",
      });
    openedBy("Agent", agent);
    openedBy("Billing", billing);
    alarms.when(this, "FindingOpenedAlarm", {
      // Of all three: they write the same metric.
      metric: openedBy("Sweep", sweep).metric({ statistic: "Sum", period: Duration.minutes(1) }),
      threshold: 1,
      description:
        "Something is amiss with a host or a VM: GET /staff/v1/findings?state=open. It is told once; see docs/runbooks/host-lost.md.",
    });
    // A role of our own: the target's own grant takes in versions and aliases, by a wildcard.
    const role = new Role(this, "SchedulerRole", {
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": this.account } },
      }),
    });
    role.addToPolicy(
      new PolicyStatement({
        actions: ["lambda:InvokeFunction"],
        resources: [sweep.function.functionArn],
      }),
    );
    return new Schedule(this, "EveryMinute", {
      schedule: ScheduleExpression.rate(Duration.minutes(1)),
      // A missed minute is not made up for: the next sweep does all that is due.
      target: new LambdaInvoke(sweep.function, {
        retryAttempts: 0,
        maxEventAge: Duration.minutes(1),
        role: role.withoutPolicyUpdates(),
      }),
    });
  }

  /** The schema is brought up before any function that needs it is changed; a migration that fails fails the deployment. */
  #migrateBefore(
    serving: readonly BerthFunction[],
    { network, database }: { network: Network; database: Database },
    props: Pick<ConstructorParameters<typeof BerthFunction>[2], "home" | "bundle">,
  ): void {
    const migrate = new BerthFunction(this, "Migrate", {
      ...props,
      memoryMib: 512,
      timeout: Duration.minutes(10),
      secrets: [database.secret, ...database.logins],
      environment: {
        BERTH_DATABASE_SECRET_ARN: database.secret.secretArn,
        BERTH_LOGIN_SECRET_ARNS: database.logins.map((login) => login.secretArn).join(","),
      },
    });
    const migration = new Trigger(this, "Migration", {
      handler: migrate.function,
      timeout: Duration.minutes(10),
    });
    migration.executeAfter(network, database, migrate);
    migration.executeBefore(...serving.map((each) => each.function));
  }
}

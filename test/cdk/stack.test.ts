import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { runInNewContext } from "node:vm";
import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createApp } from "#cdk/app.ts";
import { FUNCTION_ENTRIES, FUNCTION_NAMES } from "#cdk/functions.ts";
import { nagFindings } from "#cdk/nag.ts";
import { STAGES } from "#cdk/stage.ts";
import {
  AgentEnvironment,
  AddStaffEnvironment,
  ApiEnvironment,
  Environment,
  LogInEnvironment,
  MailEventsEnvironment,
  MigrationEnvironment,
  WebhookEnvironment,
} from "#commands/runtime.ts";
import { ENTRANCE_HEADER, VIEWER_HEADER } from "#core/network/entrance-headers.ts";
import { berthFunctions, functionCalled, synthesisedStages, type Stages } from "./stages.ts";
import { readTemplate } from "./template.ts";

const ROOT = path.join(import.meta.dirname, "..", "..");

/** Of those that are no worker. */
const SCHEMAS: Readonly<Record<string, z.ZodObject>> = {
  AddStaff: AddStaffEnvironment,
  Api: ApiEnvironment,
  Agent: AgentEnvironment,
  LogIn: LogInEnvironment,
  MailEventsConsumer: MailEventsEnvironment,
  Migrate: MigrationEnvironment,
  StripeWebhook: WebhookEnvironment,
};

let stages: Stages;
beforeAll(async () => {
  stages = await synthesisedStages();
});

describe.each(STAGES)("stage %s", (stage) => {
  const template = () => stages.of[stage].template;
  const functions = () => berthFunctions(template());
  const called = (id: string) => functionCalled(template(), id);
  const alarmsOn = (metric: string, id: string) =>
    template()
      .ofType("AWS::CloudWatch::Alarm")
      .filter(
        ({ Properties: p }) =>
          p["MetricName"] === metric && template().mentions(p["Dimensions"], id),
      );

  test("has no finding of cdk-nag that is not acknowledged, and no error or warning of the CDK", () => {
    expect(nagFindings(stages.of[stage].app)).toEqual([]);
    const made = stages.of[stage].app.synth().getStackByName(stages.of[stage].stack.stackName);
    expect(made.messages.map((m) => m.entry.data)).toEqual([]);
  });

  test("every file that exports a handler is a Lambda, and there is no other", async () => {
    expect(Object.values(FUNCTION_ENTRIES).toSorted()).toEqual(await filesWithHandlers());
    expect(functions()).toHaveLength(FUNCTION_NAMES.length);
  });

  test("a Lambda is given what its environment's schema asks for, and nothing else of Berth's", () => {
    for (const each of functions()) {
      const { Variables } = z
        .object({ Variables: z.record(z.string(), z.unknown()) })
        .parse(each.Properties["Environment"]);
      const schema =
        SCHEMAS[String(each.Properties["Description"]).replace("Berth: ", "")] ?? Environment;
      const own = Object.keys(Variables).filter((name) => name.startsWith("BERTH_"));
      expect({ of: each.id, own: own.toSorted() }).toEqual({
        of: each.id,
        own: [
          ...requiredNames(schema),
          // Those that mail, from the address that the deployment named.
          ...(["OutboxEventsConsumer", "Sweep"].some((id) => each === called(id))
            ? ["BERTH_MAIL_EVENTS", "BERTH_MAIL_FROM"]
            : []),
          // 5 item 3: staff's begins rollouts, and the one that agents speak to tells them whose releases to trust.
          ...(["Api", "Agent"].some((id) => each === called(id)) ? ["BERTH_RELEASE_KEY"] : []),
        ].toSorted(),
      });
      expect(Variables).toMatchObject({ NODE_EXTRA_CA_CERTS: "/var/runtime/ca-cert.pem" });
    }
  });

  test("a Lambda runs Node 24 on arm64, is traced, keeps its log for a while, and has its alarms", () => {
    for (const each of functions()) {
      expect(each.Properties).toMatchObject({
        Runtime: "nodejs24.x",
        Architectures: ["arm64"],
        TracingConfig: { Mode: "Active" },
        VpcConfig: { SubnetIds: expect.any(Array) },
      });
      const log = template().mentioned(each.Properties["LoggingConfig"], "AWS::Logs::LogGroup");
      expect(log.Properties["RetentionInDays"]).toBeGreaterThanOrEqual(30);
      for (const metric of ["Errors", "Throttles"])
        expect(alarmsOn(metric, each.id), `${each.id} ${metric}`).toHaveLength(1);
    }
  });

  test("every queue is encrypted and takes TLS only", () => {
    const queues = template().ofType("AWS::SQS::Queue");
    expect(queues.length).toBeGreaterThanOrEqual(4);
    for (const queue of queues) {
      expect(queue.Properties["SqsManagedSseEnabled"]).toBe(true);
      const policies = template()
        .ofType("AWS::SQS::QueuePolicy")
        .filter((p) => template().mentions(p.Properties["Queues"], queue.id));
      expect(policies.map((p) => p.Properties["PolicyDocument"])).toMatchObject([
        {
          Statement: expect.arrayContaining([
            expect.objectContaining({
              Effect: "Deny",
              Condition: { Bool: { "aws:SecureTransport": "false" } },
            }),
          ]),
        },
      ]);
    }
  });

  test("every queue has a dead-letter queue, an alarm on what waits, and one on what was set aside", () => {
    const queues = template().ofType("AWS::SQS::Queue");
    const redriving = queues.filter((q) => q.Properties["RedrivePolicy"] !== undefined);
    const deadLetters = redriving.map((q) =>
      template().mentioned(q.Properties["RedrivePolicy"], "AWS::SQS::Queue"),
    );
    expect([...redriving, ...deadLetters].map((q) => q.id).toSorted()).toEqual(
      queues.map((q) => q.id).toSorted(),
    );
    for (const each of redriving) {
      expect(each.Properties["RedrivePolicy"]).toMatchObject({ maxReceiveCount: 5 });
      expect(alarmsOn("ApproximateAgeOfOldestMessage", each.id)).toHaveLength(1);
    }
    for (const each of deadLetters)
      expect(alarmsOn("ApproximateNumberOfMessagesVisible", each.id)).toHaveLength(1);
  });

  test("every alarm tells the topic, which lets CloudWatch publish", () => {
    const [topic] = template().ofType("AWS::SNS::Topic");
    const silent = template()
      .ofType("AWS::CloudWatch::Alarm")
      .filter((a) => !template().mentions(a.Properties["AlarmActions"], topic?.id ?? ""));
    expect(silent.map((a) => a.id)).toEqual([]);
    expect(template().ofType("AWS::SNS::TopicPolicy")[0]?.Properties).toMatchObject({
      PolicyDocument: {
        Statement: expect.arrayContaining([
          expect.objectContaining({
            Effect: "Allow",
            Action: "sns:Publish",
            Principal: { Service: "cloudwatch.amazonaws.com" },
          }),
        ]),
      },
    });
  });

  test("every mapping answers for single messages, from a queue that waits six of its function's time-outs", () => {
    const mappings = template().ofType("AWS::Lambda::EventSourceMapping");
    expect(mappings).toHaveLength(4);
    for (const { Properties: p } of mappings) {
      expect(p["FunctionResponseTypes"]).toEqual(["ReportBatchItemFailures"]);
      const queue = template().mentioned(p["EventSourceArn"], "AWS::SQS::Queue");
      const reader = template().mentioned(p["FunctionName"], "AWS::Lambda::Function");
      expect(Number(queue.Properties["VisibilityTimeout"])).toBeGreaterThanOrEqual(
        6 * Number(reader.Properties["Timeout"]),
      );
    }
  });

  test("4b C1: what a buyer waits for has a queue of its own, a message at a time, and the same consumer as renewals", () => {
    const mappings = template().ofType("AWS::Lambda::EventSourceMapping");
    const read = mappings.map(({ Properties: p }) => ({
      queue: template().mentioned(p["EventSourceArn"], "AWS::SQS::Queue").id,
      reader: template().mentioned(p["FunctionName"], "AWS::Lambda::Function").id,
      batch: p["BatchSize"],
    }));
    const reader = called("BillingEventsConsumer").id;
    expect(read).toMatchObject(
      expect.arrayContaining([
        { queue: expect.stringMatching(/^Purchases/), reader, batch: 1 },
        { queue: expect.stringMatching(/^BillingEvents/), reader, batch: 5 },
      ]),
    );
  });

  test("what SES tells of mails that this stage sent comes into a queue, by its configuration set alone", () => {
    const [set] = template().ofType("AWS::SES::ConfigurationSet");
    const ofSet = { Ref: set?.id };
    expect(
      template()
        .ofType("AWS::SES::ConfigurationSetEventDestination")
        .map(({ Properties: p }) => p),
    ).toMatchObject([
      {
        ConfigurationSetName: ofSet,
        EventDestination: {
          Enabled: true,
          MatchingEventTypes: ["bounce", "complaint"],
          EventBridgeDestination: { EventBusArn: expect.anything() },
        },
      },
    ]);
    const rules = template().ofType("AWS::Events::Rule");
    expect(rules.map(({ Properties: p }) => p)).toMatchObject([
      {
        EventPattern: {
          source: ["aws.ses"],
          "detail-type": ["Email Bounced", "Email Complaint Received"],
          detail: { mail: { tags: { "ses:configuration-set": [ofSet] } } },
        },
      },
    ]);
    const queue = template().mentioned(rules[0]?.Properties["Targets"], "AWS::SQS::Queue");
    expect(queue.id).toMatch(/^MailEvents/);
    const [policy] = template()
      .ofType("AWS::SQS::QueuePolicy")
      .filter((p) => template().mentions(p.Properties["Queues"], queue.id));
    expect(policy?.Properties["PolicyDocument"]).toMatchObject({
      Statement: expect.arrayContaining([
        expect.objectContaining({
          Effect: "Allow",
          Principal: { Service: "events.amazonaws.com" },
          Condition: {
            ArnEquals: { "aws:SourceArn": { "Fn::GetAtt": [rules[0]?.id, "Arn"] } },
          },
        }),
      ]),
    });
    for (const id of ["OutboxEventsConsumer", "Sweep"])
      expect(called(id).Properties["Environment"]).toMatchObject({
        Variables: { BERTH_MAIL_EVENTS: ofSet },
      });
    const readers = template()
      .ofType("AWS::Lambda::EventSourceMapping")
      .filter(({ Properties: p }) => template().mentions(p["EventSourceArn"], queue.id))
      .map(
        ({ Properties: p }) => template().mentioned(p["FunctionName"], "AWS::Lambda::Function").id,
      );
    expect(readers).toEqual([called("MailEventsConsumer").id]);
  });

  test("the sweep is started every minute, and its absence is an alarm", () => {
    const schedules = template().ofType("AWS::Scheduler::Schedule");
    expect(schedules.map((s) => s.Properties)).toMatchObject([
      { ScheduleExpression: "rate(1 minute)", State: "ENABLED" },
    ]);
    const sweep = called("Sweep");
    expect(template().mentions(schedules[0]?.Properties["Target"], sweep.id)).toBe(true);
    expect(alarmsOn("Invocations", sweep.id).map((a) => a.Properties)).toMatchObject([
      { ComparisonOperator: "LessThanThreshold", Threshold: 1, TreatMissingData: "breaching" },
    ]);
  });

  test("a sweep that sees the outbox stuck raises an alarm", () => {
    const filter = template()
      .ofType("AWS::Logs::MetricFilter")
      .find(({ id }) => id.startsWith("OutboxStuck"));
    expect(filter?.Properties).toMatchObject({
      FilterPattern: '{ ($.message = "sweep.check_health") && ($.ok IS FALSE) }',
      MetricTransformations: [{ MetricName: "OutboxStuck" }],
    });
    const alarms = template().ofType("AWS::CloudWatch::Alarm");
    expect(alarms.filter((a) => a.Properties["MetricName"] === "OutboxStuck")).toHaveLength(1);
  });

  test("7a: what Stripe tells of a customer of ours and leads to no order raises an alarm", () => {
    const filters = template()
      .ofType("AWS::Logs::MetricFilter")
      .filter(({ id }) => id.startsWith("PaymentUnhandled"));
    expect(filters).toMatchObject([
      { Properties: { FilterPattern: '{ $.message = "apply_billing_event.unhandled" }' } },
    ]);
    const alarms = template().ofType("AWS::CloudWatch::Alarm");
    expect(alarms.filter((a) => a.Properties["MetricName"] === "PaymentUnhandled")).toMatchObject([
      { Properties: { Threshold: 1, TreatMissingData: "notBreaching" } },
    ]);
  });

  test("5.6: a finding that reports, deliveries or the sweep open raises an alarm", () => {
    const filters = template()
      .ofType("AWS::Logs::MetricFilter")
      .filter(({ id }) => id.startsWith("FindingOpened"));
    expect(filters).toHaveLength(3);
    for (const { Properties } of filters)
      expect(Properties).toMatchObject({
        FilterPattern: '{ $.message = "finding.opened" }',
        MetricTransformations: [{ MetricName: "FindingOpened" }],
      });
    const alarms = template().ofType("AWS::CloudWatch::Alarm");
    expect(alarms.filter((a) => a.Properties["MetricName"] === "FindingOpened")).toMatchObject([
      { Properties: { Threshold: 1, TreatMissingData: "notBreaching" } },
    ]);
  });

  // 4b B1: one address at 100 requests a second turned agents, customers and Stripe away.
  test("agents, Stripe and log-ins have Lambdas of their own, with their own throttle and concurrency; all else is the API's", () => {
    const routes = template().ofType("AWS::ApiGatewayV2::Route");
    const targets = Object.fromEntries(
      routes.map((route) => {
        const integration = template().mentioned(
          route.Properties["Target"],
          "AWS::ApiGatewayV2::Integration",
        );
        const { IntegrationUri: uri } = integration.Properties;
        return [
          String(route.Properties["RouteKey"]),
          template().mentioned(uri, "AWS::Lambda::Function").id,
        ];
      }),
    );
    const own = {
      "ANY /agent/{proxy+}": called("Agent").id,
      "ANY /v1/auth/{proxy+}": called("LogIn").id,
      "ANY /webhooks/stripe": called("StripeWebhook").id,
    };
    expect(targets).toEqual({ ...own, $default: called("Api").id });
    const throttle = { ThrottlingRateLimit: expect.any(Number) };
    expect(
      template()
        .ofType("AWS::ApiGatewayV2::Stage")
        .map((s) => s.Properties),
    ).toMatchObject([
      {
        StageName: "$default",
        AutoDeploy: true,
        AccessLogSettings: { Format: expect.stringContaining("$context.requestId") },
        DefaultRouteSettings: throttle,
        RouteSettings: Object.fromEntries(Object.keys(own).map((key) => [key, throttle])),
      },
    ]);
    for (const id of ["Api", "Agent", "LogIn", "StripeWebhook"]) {
      expect(called(id).Properties["ReservedConcurrentExecutions"]).toBeGreaterThan(0);
      expect(Number(called(id).Properties["Timeout"])).toBeLessThan(30);
    }
  });

  test("CloudFront stands before the API: it keeps nothing, shows the secret, tells who is asking, and has the web ACL", () => {
    const [distribution] = template().ofType("AWS::CloudFront::Distribution");
    const { DistributionConfig: config } = z
      .object({
        DistributionConfig: z.looseObject({
          Origins: z.array(
            z.looseObject({
              OriginCustomHeaders: z.array(
                z.object({ HeaderName: z.string(), HeaderValue: z.unknown() }),
              ),
            }),
          ),
        }),
      })
      .parse(distribution?.Properties);
    expect(config).toMatchObject({
      WebACLId: { Ref: "WebAclArn" },
      DefaultCacheBehavior: {
        // AWS' own: CachingDisabled, AllViewerExceptHostHeader.
        CachePolicyId: "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
        OriginRequestPolicyId: "b689b0a8-53d0-40ab-baf2-68738e2966ac",
        ViewerProtocolPolicy: "https-only",
        AllowedMethods: expect.arrayContaining(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        FunctionAssociations: [{ EventType: "viewer-request" }],
      },
      Origins: [{ CustomOriginConfig: { OriginProtocolPolicy: "https-only" } }],
    });
    const [header] = config.Origins[0]?.OriginCustomHeaders ?? [];
    expect(header?.HeaderName).toBe(ENTRANCE_HEADER);
    const secret = template().mentioned(header?.HeaderValue, "AWS::SecretsManager::Secret");
    expect(secret.id).toMatch(/^EntranceSecret/);
    // By a reference that CloudFormation resolves: the value stands in no template.
    expect(JSON.stringify(header?.HeaderValue)).toMatch(
      /resolve:secretsmanager.*:SecretString:a::/,
    );

    const [tells] = template().ofType("AWS::CloudFront::Function");
    const handler = runInNewContext(`${String(tells?.Properties["FunctionCode"])}; handler`);
    const headers = { [VIEWER_HEADER]: { value: "203.0.113.7" }, accept: { value: "*/*" } };
    expect(handler({ viewer: { ip: "2001:db8::7" }, request: { uri: "/", headers } })).toEqual({
      uri: "/",
      headers: { [VIEWER_HEADER]: { value: "2001:db8::7" }, accept: { value: "*/*" } },
    });
  });

  test("the web ACL is CloudFront's, in us-east-1, and refuses an address by how much it sends, and paths that no route has", () => {
    const { edge } = stages.of[stage];
    expect(edge.region).toBe("us-east-1");
    const [acl] = readTemplate(edge).ofType("AWS::WAFv2::WebACL");
    const { Rules, ...others } = z
      .looseObject({ Rules: z.array(z.looseObject({ Name: z.string(), Priority: z.number() })) })
      .parse(acl?.Properties);
    expect(others).toMatchObject({ Scope: "CLOUDFRONT", DefaultAction: { Allow: {} } });
    expect(Rules.map((r) => r.Name)).toEqual([
      "long-path",
      "log-ins",
      "agents",
      "stripe",
      "the-rest",
    ]);
    expect(new Set(Rules.map((r) => r.Priority)).size).toBe(Rules.length);
    for (const rule of Rules.slice(1))
      expect(rule).toMatchObject({
        Action: { Block: { CustomResponse: { ResponseCode: 429 } } },
        Statement: { RateBasedStatement: { AggregateKeyType: "IP", Limit: expect.any(Number) } },
      });
  });

  test("the other value of the entrance's secret is shown when the deployment says so", () => {
    const { stack } = createApp({
      bundles: stages.bundles,
      context: { stage, entranceKey: "b" },
    });
    const [distribution] = readTemplate(stack).ofType("AWS::CloudFront::Distribution");
    expect(JSON.stringify(distribution)).toMatch(/:SecretString:b::/);
  });

  test("the schema is migrated when the database is there, and before any Lambda that needs it changes", () => {
    const [migration] = template().ofType("Custom::Trigger");
    const migrate = called("Migrate");
    expect(
      template().mentions(migration?.Properties["HandlerArn"], migrate.id) ||
        migration?.DependsOn.includes(migrate.id),
    ).toBe(true);
    const instances = template().ofType("AWS::RDS::DBInstance");
    expect(migration?.DependsOn).toEqual(expect.arrayContaining(instances.map((i) => i.id)));
    const early = functions().filter((f) => !f.DependsOn.includes(migration?.id ?? ""));
    expect(early.map((f) => f.id)).toEqual([migrate.id]);
  });

  test("the database is Postgres 18, encrypted, over TLS, and open to the Lambdas only", () => {
    const [cluster] = template().ofType("AWS::RDS::DBCluster");
    expect(cluster?.Properties).toMatchObject({
      Engine: "aurora-postgresql",
      EngineVersion: expect.stringMatching(/^18\./),
      StorageEncrypted: true,
      DatabaseName: "berth",
    });
    expect(template().ofType("AWS::RDS::DBClusterParameterGroup")[0]?.Properties).toMatchObject({
      Parameters: { "rds.force_ssl": "1" },
    });
    for (const instance of template().ofType("AWS::RDS::DBInstance"))
      expect(instance.Properties["PubliclyAccessible"] ?? false).toBe(false);
    const doors = template()
      .ofType("AWS::EC2::SecurityGroupIngress")
      .filter((i) => template().mentions(i.Properties["FromPort"], cluster?.id ?? ""));
    expect(doors).toHaveLength(1);
    const lambdas = called("Api").Properties["VpcConfig"];
    const from = template().mentioned(
      doors[0]?.Properties["SourceSecurityGroupId"],
      "AWS::EC2::SecurityGroup",
    );
    expect(template().mentions(lambdas, from.id)).toBe(true);
  });
});

async function filesWithHandlers(): Promise<string[]> {
  const files = await Promise.all(
    ["functions", "webhooks"].map(async (name) =>
      (await readdir(path.join(ROOT, name), { recursive: true })).map((file) =>
        path.join(name, file),
      ),
    ),
  );
  const found: string[] = [];
  for (const file of files.flat().filter((name) => name.endsWith(".ts")))
    if (/^export const handler\b/m.test(await readFile(path.join(ROOT, file), "utf8")))
      found.push(file.split(path.sep).join("/"));
  return found.toSorted();
}

/** What an environment must be given: what has a default need not be, and the region is Lambda's own. */
function requiredNames(schema: z.ZodObject): string[] {
  return Object.entries(schema.shape)
    .filter(
      ([name, type]) =>
        name !== "AWS_REGION" && !z.safeParse(z.unknown().pipe(type), undefined).success,
    )
    .map(([name]) => name)
    .toSorted();
}

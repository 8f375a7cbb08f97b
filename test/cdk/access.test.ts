import { beforeAll, describe, expect, test } from "vitest";
import { hostQueueName } from "#adapters/sqs-names.ts";
import { hostQueuePolicy } from "#adapters/sts.ts";
import { STAGES } from "#cdk/stage.ts";
import { functionCalled, synthesisedStages, type Stages } from "./stages.ts";
import type { Resource } from "./template.ts";

/** What a grant may name: three queues, the hosts', four secrets, and the log-ins to Postgres: each function's, and the owner's. */
const KNOWN =
  /berth-host-\*|DatabaseLoginOf(?:AddStaff|Api|Agent|LogIn|MailEventsConsumer|StripeWebhook|BillingEventsConsumer|OutboxEventsConsumer|Sweep)|BillingEvents|Purchases|OutboxEvents|DatabaseCluster|StripeSecret|AuthSecret|SealingSecret|EntranceSecret/;

let stages: Stages;
beforeAll(async () => {
  stages = await synthesisedStages();
});

describe.each(STAGES)("access in stage %s", (stage) => {
  const template = () => stages.of[stage].template;
  const called = (id: string) => functionCalled(template(), id);
  const roleOf = (of: Resource) => template().mentioned(of.Properties["Role"], "AWS::IAM::Role");

  test("no role may do an action by a wildcard, and only what cannot be narrowed has every resource", () => {
    const roles = template().ofType("AWS::IAM::Role");
    expect(roles.length).toBeGreaterThan(8);
    const allowed = roles
      .flatMap((role) => [...template().statementsOf(role), ...template().trustOf(role)])
      .filter((s) => s.Effect === "Allow");
    expect(allowed.flatMap((s) => s.Action).filter((action) => action.includes("*"))).toEqual([]);
    const everywhere = allowed.filter((s) => s.Resource.includes("*")).flatMap((s) => s.Action);
    expect(
      everywhere.filter(
        (a) => !/^(ec2:\w+(NetworkInterfaces?|Subnets|PrivateIpAddresses)|xray:Put\w+)$/.test(a),
      ),
    ).toEqual([]);
  });

  test("a function may send only where it must, and read only the secrets that it needs", () => {
    const granted = (id: string, action: string) =>
      template()
        .statementsOf(roleOf(called(id)))
        .filter((s) => s.Effect === "Allow" && s.Action.includes(action))
        .flatMap((s) => s.Resource)
        .map((resource) => JSON.stringify(resource))
        .map((text) => KNOWN.exec(text)?.[0] ?? text)
        .toSorted();
    expect(granted("StripeWebhook", "sqs:SendMessage")).toEqual(["BillingEvents", "Purchases"]);
    expect(granted("Api", "sqs:SendMessage")).toEqual(["OutboxEvents", "berth-host-*"]);
    expect(granted("Agent", "sqs:SendMessage")).toEqual(["OutboxEvents", "berth-host-*"]);
    for (const id of ["Api", "Agent"])
      expect(granted(id, "sqs:CreateQueue")).toEqual(["berth-host-*"]);
    // Whoever relays may be the first to ring a host, and makes its queue.
    for (const relays of ["Sweep", "BillingEventsConsumer", "OutboxEventsConsumer"])
      expect(granted(relays, "sqs:CreateQueue")).toEqual(["berth-host-*"]);
    expect(granted("StripeWebhook", "sqs:CreateQueue")).toEqual([]);
    expect(granted("Sweep", "sqs:SendMessage")).toEqual([
      "BillingEvents",
      "OutboxEvents",
      "Purchases",
      "berth-host-*",
    ]);
    // 4b B6: each function has a log-in to Postgres of its own, and none the owner's.
    for (const id of ["Api", "BillingEventsConsumer", "OutboxEventsConsumer", "Sweep"])
      expect(granted(id, "secretsmanager:GetSecretValue")).toEqual([
        "AuthSecret",
        `DatabaseLoginOf${id}`,
        ...(id === "Api" ? ["EntranceSecret"] : []),
        "SealingSecret",
        "StripeSecret",
      ]);
    // 4b B1
    expect(granted("LogIn", "secretsmanager:GetSecretValue")).toEqual([
      "AuthSecret",
      "DatabaseLoginOfLogIn",
      "EntranceSecret",
    ]);
    expect(granted("Agent", "secretsmanager:GetSecretValue")).toEqual([
      "DatabaseLoginOfAgent",
      "EntranceSecret",
      "SealingSecret",
    ]);
    expect(granted("StripeWebhook", "secretsmanager:GetSecretValue")).toEqual([
      "DatabaseLoginOfStripeWebhook",
      "EntranceSecret",
      "StripeSecret",
    ]);
    expect(granted("LogIn", "sqs:SendMessage")).toEqual([]);
    expect(granted("Migrate", "secretsmanager:GetSecretValue")).toEqual([
      "DatabaseCluster",
      "DatabaseLoginOfAddStaff",
      "DatabaseLoginOfAgent",
      "DatabaseLoginOfApi",
      "DatabaseLoginOfBillingEventsConsumer",
      "DatabaseLoginOfLogIn",
      "DatabaseLoginOfMailEventsConsumer",
      "DatabaseLoginOfOutboxEventsConsumer",
      "DatabaseLoginOfStripeWebhook",
      "DatabaseLoginOfSweep",
    ]);
    // 6a item 6: it makes members of staff, and knows nothing but the database.
    expect(granted("AddStaff", "secretsmanager:GetSecretValue")).toEqual([
      "DatabaseLoginOfAddStaff",
    ]);
    // Who is told of mails sends none, and knows nothing but the database.
    expect(granted("MailEventsConsumer", "secretsmanager:GetSecretValue")).toEqual([
      "DatabaseLoginOfMailEventsConsumer",
    ]);
    expect(granted("MailEventsConsumer", "sqs:SendMessage")).toEqual([]);
    for (const id of ["Api", "Agent", "LogIn", "Migrate", "AddStaff", "MailEventsConsumer"])
      expect(granted(id, "ses:SendEmail")).toEqual([]);
    for (const id of ["OutboxEventsConsumer", "Sweep"])
      expect(granted(id, "ses:SendEmail").toSorted()).toEqual([
        expect.stringMatching(/:configuration-set\//),
        expect.stringMatching(/:identity\/example\.com"/),
      ]);
    for (const id of ["Migrate", "AddStaff"]) expect(granted(id, "sqs:SendMessage")).toEqual([]);
  });

  test("the hosts' role is trusted to the agents' channel alone, and may do on hosts' queues what a session's policy hands on", () => {
    const agent = roleOf(called("Agent"));
    const hosts = template().mentioned(called("Agent").Properties["Environment"], "AWS::IAM::Role");
    expect(template().trustOf(hosts)).toEqual([
      expect.objectContaining({ Principal: { AWS: { "Fn::GetAtt": [agent.id, "Arn"] } } }),
    ]);
    const statements = template().statementsOf(hosts);
    expect(statements.map((s) => s.Action.toSorted())).toEqual(
      hostQueuePolicy("").Statement.map((s) => s.Action.toSorted()),
    );
    const prefix = /berth-host-\*/.exec(JSON.stringify(statements[0]?.Resource))?.[0] ?? "";
    expect(hostQueueName("0198-x").startsWith(prefix.slice(0, -1))).toBe(true);

    const mayAssume = template()
      .ofType("AWS::IAM::Role")
      .filter((role) =>
        template()
          .statementsOf(role)
          .some((s) => s.Action.includes("sts:AssumeRole")),
      );
    expect(mayAssume.map((role) => role.id)).toEqual([agent.id]);
  });
});

import { App, Stack } from "aws-cdk-lib";
import { Queue } from "aws-cdk-lib/aws-sqs";
import { beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { createApp } from "#cdk/app.ts";
import { nagFindings } from "#cdk/nag.ts";
import type { Stage } from "#cdk/stage.ts";
import { synthesisedStages, type Stages } from "./stages.ts";
import { readTemplate } from "./template.ts";

let stages: Stages;
beforeAll(async () => {
  stages = await synthesisedStages();
});

test("the small stage goes out through one instance, the large one through gateways, and is protected", () => {
  const counts = (stage: Stage) => ({
    instances: stages.of[stage].template.ofType("AWS::EC2::Instance").length,
    gateways: stages.of[stage].template.ofType("AWS::EC2::NatGateway").length,
    databases: stages.of[stage].template.ofType("AWS::RDS::DBInstance").length,
    cluster: stages.of[stage].template.ofType("AWS::RDS::DBCluster")[0]?.Properties,
  });
  expect(counts("small")).toMatchObject({
    instances: 1,
    gateways: 0,
    databases: 1,
    cluster: { ServerlessV2ScalingConfiguration: { MinCapacity: 0.5 } },
  });
  expect(counts("large")).toMatchObject({
    instances: 0,
    gateways: 2,
    databases: 3,
    cluster: { ServerlessV2ScalingConfiguration: { MinCapacity: 2 }, DeletionProtection: true },
  });
});

test("with a name of its own CloudFront answers to it, and everything is told that it is there", () => {
  const { stack } = createApp({
    bundles: stages.bundles,
    context: {
      stage: "small",
      domainName: "api.example.com",
      certificateArn: "arn:aws:acm:us-east-1:123456789012:certificate/x",
      alarmEmail: "ops@example.com",
    },
  });
  const template = readTemplate(stack);
  expect(template.ofType("AWS::CloudFront::Distribution")[0]?.Properties).toMatchObject({
    DistributionConfig: {
      Aliases: ["api.example.com"],
      ViewerCertificate: {
        AcmCertificateArn: "arn:aws:acm:us-east-1:123456789012:certificate/x",
        MinimumProtocolVersion: "TLSv1.2_2021",
      },
    },
  });
  const urls = template
    .ofType("AWS::Lambda::Function")
    .map((f) => JSON.stringify(f.Properties["Environment"] ?? {}))
    .filter((text) => text.includes("BERTH_PUBLIC_URL"));
  expect(urls).toHaveLength(7);
  for (const text of urls) expect(text).toContain('"BERTH_PUBLIC_URL":"https://api.example.com"');
  expect(template.ofType("AWS::SNS::Subscription").map((s) => s.Properties)).toMatchObject([
    { Protocol: "email", Endpoint: "ops@example.com" },
  ]);
});

test.each<Record<string, string>>([
  {},
  { stage: "huge" },
  { stage: "small", domainName: "api.example.com" },
  { stage: "small", alarmEmail: "nobody" },
  { stage: "small", entranceKey: "c" },
  // CloudFront reads certificates of us-east-1 only.
  {
    stage: "small",
    domainName: "api.example.com",
    certificateArn: "arn:aws:acm:eu-central-1:123456789012:certificate/x",
  },
])("a context that does not fit is refused: %j", (context) => {
  expect(() => createApp({ bundles: stages.bundles, context })).toThrow(z.ZodError);
});

test("cdk-nag finds what nobody acknowledged", () => {
  const app = new App();
  const queue = new Queue(new Stack(app, "Bare"), "Open");
  expect(queue.node.path).toBe("Bare/Open");
  expect(nagFindings(app)).toEqual([
    expect.stringMatching(/^AwsSolutions-SQS3 at Bare\/Open/),
    expect.stringMatching(/^AwsSolutions-SQS4 at Bare\/Open/),
  ]);
});

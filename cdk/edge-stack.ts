import { CfnOutput, Stack, type StackProps } from "aws-cdk-lib";
import { CfnWebACL } from "aws-cdk-lib/aws-wafv2";
import type { Construct } from "constructs";

/** Where a web ACL for CloudFront must be made, whatever the region of the rest. */
export const EDGE_REGION = "us-east-1";

/** What is counted over, and what one address may send in it. */
const WINDOW_SECONDS = 300;
/**
 * By the first characters of the path; the first that fits counts. A data centre's hosts may all come from one address: 500 of
 * them report, pull and send usage about 2,500 times a minute. Stripe comes from a few addresses, and at a month's first
 * minutes with all renewals.
 */
const MOST_BY_PATH = [
  { name: "log-ins", path: "/v1/auth/", most: 300 },
  { name: "agents", path: "/agent/", most: 30_000 },
  { name: "stripe", path: "/webhooks/stripe", most: 60_000 },
] as const;
/** Ten a second, for five minutes, of everything together that is none of these. */
const MOST_OF_THE_REST = 3_000;

/** A path that no route of ours has: it would only fill logs (4b B7). */
const MOST_BYTES_OF_PATH = 1024;

/**
 * The web ACL that stands before the API, at CloudFront. It counts and knows nothing of what is sent: rules of others that look
 * into bodies would refuse cloud-init's user data.
 */
export class EdgeStack extends Stack {
  /** What the stage's own stack is told at its first deployment. */
  readonly webAclArn: CfnOutput;

  constructor(scope: Construct, id: string, props: StackProps) {
    super(scope, id, { ...props, env: { region: EDGE_REGION } });
    const acl = new CfnWebACL(this, "WebAcl", {
      scope: "CLOUDFRONT",
      defaultAction: { allow: {} },
      visibilityConfig: watched("all"),
      rules: [
        {
          name: "long-path",
          priority: 0,
          action: { block: {} },
          visibilityConfig: watched("long-path"),
          statement: {
            sizeConstraintStatement: {
              fieldToMatch: { uriPath: {} },
              comparisonOperator: "GT",
              size: MOST_BYTES_OF_PATH,
              textTransformations: AS_SENT,
            },
          },
        },
        ...MOST_BY_PATH.map(({ name, path, most }, n) =>
          rateRule(name, n + 1, most, beginsWith(path)),
        ),
        rateRule("the-rest", MOST_BY_PATH.length + 1, MOST_OF_THE_REST, {
          notStatement: {
            statement: { orStatement: { statements: MOST_BY_PATH.map((b) => beginsWith(b.path)) } },
          },
        }),
      ],
    });
    this.webAclArn = new CfnOutput(this, "WebAclArn", { value: acl.attrArn });
  }
}

const REFUSED: CfnWebACL.CustomResponseProperty = {
  responseCode: 429,
  responseHeaders: [{ name: "Retry-After", value: "60" }],
};

const AS_SENT = [{ priority: 0, type: "NONE" }];

const beginsWith = (path: string): CfnWebACL.StatementProperty => ({
  byteMatchStatement: {
    fieldToMatch: { uriPath: {} },
    positionalConstraint: "STARTS_WITH",
    searchString: path,
    textTransformations: AS_SENT,
  },
});

const watched = (name: string): CfnWebACL.VisibilityConfigProperty => ({
  cloudWatchMetricsEnabled: true,
  metricName: name,
  sampledRequestsEnabled: true,
});

/** Refuses an address that sent more than `limit` of these within the window, until it has sent less. */
const rateRule = (
  name: string,
  priority: number,
  limit: number,
  scopeDownStatement: CfnWebACL.StatementProperty,
): CfnWebACL.RuleProperty => ({
  name,
  priority,
  action: { block: { customResponse: REFUSED } },
  visibilityConfig: watched(name),
  statement: {
    rateBasedStatement: {
      aggregateKeyType: "IP",
      evaluationWindowSec: WINDOW_SECONDS,
      limit,
      scopeDownStatement,
    },
  },
});

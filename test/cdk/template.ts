import { Template } from "aws-cdk-lib/assertions";
import type { Stack } from "aws-cdk-lib";
import { z } from "zod";

const Resource = z.object({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  DependsOn: z.array(z.string()).default([]),
});
export type Resource = z.infer<typeof Resource> & { id: string };

const Listed = <T extends z.ZodType>(item: T) =>
  z.union([z.array(item), item.transform((one) => [one])]);
const Statement = z.object({
  Effect: z.enum(["Allow", "Deny"]),
  Action: Listed(z.string()),
  Resource: Listed(z.unknown()).default([]),
  Principal: z.unknown().optional(),
});
export type Statement = z.infer<typeof Statement>;
const PolicyDocument = z.object({ Statement: z.array(Statement) });
const RoleProperties = z.object({
  AssumeRolePolicyDocument: PolicyDocument,
  Policies: z.array(z.object({ PolicyDocument })).default([]),
});

/** A synthesised template, read for assertions. Making one also refuses cyclic dependencies. */
export function readTemplate(stack: Stack) {
  const template = z
    .object({ Resources: z.record(z.string(), Resource) })
    .parse(Template.fromStack(stack).toJSON());
  const all: Resource[] = Object.entries(template.Resources).map(([id, r]) => ({ id, ...r }));
  const ofType = (type: string) => all.filter((r) => r.Type === type);

  /** Whether `value` mentions the resource: `Ref` or `Fn::GetAtt`, at any depth. */
  const mentions = (value: unknown, id: string): boolean => {
    if (typeof value !== "object" || value === null) return false;
    if ("Ref" in value && value.Ref === id) return true;
    if (
      "Fn::GetAtt" in value &&
      Array.isArray(value["Fn::GetAtt"]) &&
      value["Fn::GetAtt"][0] === id
    )
      return true;
    return Object.values(value).some((inner) => mentions(inner, id));
  };
  const mentioned = (value: unknown, type: string): Resource => {
    const found = ofType(type).filter((r) => mentions(value, r.id));
    const [one] = found;
    if (one === undefined || found.length > 1)
      throw new Error(`${found.length} ${type} in ${JSON.stringify(value)}`);
    return one;
  };

  /** What a role may do, trust apart. */
  const statementsOf = (role: Resource): Statement[] => [
    ...RoleProperties.parse(role.Properties).Policies.flatMap((p) => p.PolicyDocument.Statement),
    ...ofType("AWS::IAM::Policy")
      .filter((policy) => mentions(policy.Properties["Roles"], role.id))
      .flatMap((policy) => PolicyDocument.parse(policy.Properties["PolicyDocument"]).Statement),
  ];
  const trustOf = (role: Resource) =>
    RoleProperties.parse(role.Properties).AssumeRolePolicyDocument.Statement;

  return { all, ofType, mentions, mentioned, statementsOf, trustOf };
}
export type ReadTemplate = ReturnType<typeof readTemplate>;

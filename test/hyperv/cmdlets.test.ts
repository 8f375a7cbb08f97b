import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { aWorld, noPwsh, pwsh, standinModule, WINDOWS, type Windows, type World } from "./world.ts";

/** Microsoft's documentation as data; ../shared/hyperv/README.md says its shape. It is not part of this repository. */
const dataFile = path.resolve(import.meta.dirname, "../../../shared/hyperv/contract.json");
/** Every cmdlet has it (about_CommonParameters), and no parameter set names it. */
const COMMON = new Set(["ErrorAction"]);
const Parameter = z
  .tuple([z.string(), z.string(), z.union([z.boolean(), z.number()])])
  .rest(z.unknown());
const Version = z.object({
  s: z.array(z.tuple([z.string(), z.array(Parameter)])),
  al: z.record(z.string(), z.string()),
  acc: z.record(z.string(), z.array(z.string())).default({}),
});
const Data = z.record(z.string(), z.record(z.string(), z.union([z.string(), Version])));
type Data = z.infer<typeof Data>;

function readData(): Data | null {
  try {
    return Data.parse(JSON.parse(readFileSync(dataFile, "utf8")));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
const data = readData();
const noData = data === null ? "no ../shared/hyperv/contract.json" : null;
const skip = noPwsh ?? noData;

/** The cmdlet as documented for this version of Windows; undefined where that has none. */
function documented(cmdlet: string, windows: Windows) {
  let version: string | z.infer<typeof Version> | undefined = data?.[cmdlet]?.[windows];
  // A version that is like another names it.
  for (let hops = 0; typeof version === "string" && hops < 5; hops++)
    version = data?.[cmdlet]?.[version];
  return typeof version === "string" ? undefined : version;
}

/** The parameters of a set: its name says "(Default)" where it is that. */
function documentedSets(version: z.infer<typeof Version>) {
  return version.s.map(([name, parameters]) => ({
    name: name.replace(/ ?\(Default\)$/, ""),
    isDefault: name.endsWith("(Default)"),
    parameters: new Map(
      parameters.map(([parameter, type, must]) => [parameter, { type, mandatory: Boolean(must) }]),
    ),
  }));
}

const reason = skip ? ` (skipped: ${skip})` : "";
describe.skipIf(skip !== null)(`the cmdlets that agent.ps1 calls${reason}`, () => {
  let world: World;
  let calls: Awaited<ReturnType<ReturnType<World["open"]>["cmdletCalls"]>>;
  beforeAll(async () => {
    world = await aWorld();
    calls = await world.open().cmdletCalls();
  });
  afterAll(() => world.close());

  test("are found by PowerShell's parser, each with named arguments only", () => {
    expect(calls.length).toBeGreaterThan(50);
    expect(calls.filter((call) => !call.named)).toEqual([]);
  });

  test.each(WINDOWS)("exist on %s with every parameter, in one parameter set", (windows) => {
    const wrong = calls
      .filter((call) => !(call.modernOnly && windows === "2012r2"))
      .flatMap((call) => {
        const version = documented(call.cmdlet, windows);
        if (!version) return [`${call.place} ${call.cmdlet}: not on ${windows}`];
        const fits = documentedSets(version).some(
          (set) =>
            call.parameters.every(
              (parameter) => COMMON.has(parameter) || set.parameters.has(parameter),
            ) &&
            [...set.parameters].every(
              ([parameter, { mandatory }]) => !mandatory || call.parameters.includes(parameter),
            ),
        );
        return fits ? [] : [`${call.place} ${call.cmdlet} ${call.parameters.join(" ")}`];
      });
    expect(wrong).toEqual([]);
  });

  test.each(WINDOWS)("give on %s no literal but one that the parameter accepts", (windows) => {
    const literals = calls.flatMap((call) =>
      call.modernOnly && windows === "2012r2"
        ? []
        : call.literals.flatMap(({ parameter, value }) => {
            const accepted = documented(call.cmdlet, windows)?.acc[parameter];
            return accepted === undefined ? [] : [{ parameter, value, accepted }];
          }),
    );
    expect(literals.length).toBeGreaterThan(10);
    expect(literals.filter(({ value, accepted }) => !accepted.includes(value))).toEqual([]);
  });

  test("a parameter that 2012 R2 lacks would be found", () => {
    const modern = calls.filter((call) => call.modernOnly);
    expect(modern.map((call) => call.cmdlet).sort()).toEqual([
      "Set-VM",
      "Set-VM",
      "Set-VMFirmware",
    ]);
    for (const call of modern) {
      const version = documented(call.cmdlet, "2012r2");
      const sets = version ? documentedSets(version) : [];
      expect(sets.some((set) => call.parameters.every((one) => set.parameters.has(one)))).toBe(
        false,
      );
    }
  });
});

describe.skipIf(skip !== null).each(WINDOWS)(`the stand-in module as of %s${reason}`, (windows) => {
  test("declares only what Microsoft documents: sets, parameters, types, what is mandatory", async () => {
    const world = await aWorld({ Windows: windows });
    const rows = inspect(["-Module", standinModule], world.env).filter(
      ([kind]) => kind === "parameter",
    );
    const values = inspect(["-Module", standinModule], world.env).filter(
      ([kind]) => kind === "value",
    );
    const beyond = values.filter(([, cmdlet = "", parameter = "", value = ""]) => {
      const accepted = documented(cmdlet, windows)?.acc[parameter];
      return accepted !== undefined && !accepted.includes(value);
    });
    await world.close();
    expect(values.length).toBeGreaterThan(20);
    expect(beyond).toEqual([]);
    const cmdlets = new Set(rows.map(([, cmdlet]) => cmdlet ?? ""));
    expect(cmdlets.size).toBeGreaterThan(30);
    const wrong = [...cmdlets].flatMap((cmdlet) => {
      const version = documented(cmdlet, windows);
      if (!version) return [`${cmdlet}: not on ${windows}`];
      const own = rows.filter(([, name]) => name === cmdlet);
      return compare(cmdlet, own, documentedSets(version), version.al);
    });
    expect(wrong).toEqual([]);
  });
});

function compare(
  cmdlet: string,
  rows: readonly string[][],
  sets: ReturnType<typeof documentedSets>,
  aliases: Record<string, string>,
): string[] {
  const wrong: string[] = [];
  const named = new Set(
    rows.map(([, , , set]) => set).filter((set) => set !== "__AllParameterSets"),
  );
  for (const [, , defaultSet, set, parameter, type, mandatory, alias] of rows) {
    const say = (what: string) => wrong.push(`${cmdlet} -${parameter} in ${set}: ${what}`);
    if (defaultSet && !sets.some((one) => one.isDefault && one.name === defaultSet))
      say(`${defaultSet} is not the default set`);
    // A parameter of all sets must be in each documented set that the stand-in has.
    const wanted = sets.filter((one) =>
      set === "__AllParameterSets" ? named.size === 0 || named.has(one.name) : one.name === set,
    );
    if (wanted.length === 0) say("no such set");
    for (const one of wanted) {
      const documented = one.parameters.get(parameter ?? "");
      if (!documented) say(`not in the set ${one.name}`);
      else {
        const name = type === "SwitchParameter" ? "switch" : type;
        if (documented.type !== name) say(`${type} instead of ${documented.type}`);
        if (documented.mandatory !== (mandatory === "True")) say(`mandatory ${mandatory}`);
      }
    }
    for (const other of (alias ?? "").split(",").filter(Boolean))
      if (aliases[parameter ?? ""] !== other) say(`alias ${other}`);
  }
  for (const one of sets.filter((set) => named.has(set.name)))
    for (const [parameter, { mandatory }] of one.parameters)
      if (mandatory && !rows.some((row) => row[4] === parameter))
        wrong.push(`${cmdlet}: mandatory -${parameter} of ${one.name} is not declared`);
  return wrong;
}

const noEngine = noPwsh ? ` (skipped: ${noPwsh})` : "";
describe.skipIf(noPwsh !== null)(`the language of agent.ps1${noEngine}`, () => {
  const folder = path.resolve(import.meta.dirname, "../../host-agent/drivers/hyperv");
  let rows: string[][] = [];
  beforeAll(() => {
    rows = inspect(["-Folder", folder], {});
  });
  const of = (kind: string) => [
    ...new Set(rows.flatMap(([is, , what]) => (is === kind && what ? [what] : []))),
  ];

  test("parses, and has no syntax that Windows PowerShell 5.1 lacks", () => {
    expect(of("problem")).toEqual([]);
    // Since PowerShell 7: ?:, ?? and ??=, ?. and ?[], && and ||, and the clean block.
    const since7 =
      /^(QuestionMark|QuestionQuestion.*|QuestionDot|QuestionLBracket|AndAnd|OrOr|Clean)$/;
    expect(of("token").filter((token) => since7.test(token))).toEqual([]);
    expect(of("node").filter((node) => /Ternary|PipelineChain/.test(node))).toEqual([]);
    expect(of("token")).toContain("Foreach");
  });

  test("is ASCII, as 5.1 reads a file without a mark in the machine's code page", () => {
    const scripts = new Set(rows.flatMap(([, file]) => file ?? []));
    const beyond = [...scripts].filter((script) =>
      readFileSync(path.join(folder, script)).some((byte) => byte > 127),
    );
    expect(beyond).toEqual([]);
    expect(scripts.size).toBeGreaterThan(5);
  });

  test("calls only its own functions and cmdlets of Core, Hyper-V and CimCmdlets", () => {
    const own = new Set(of("function"));
    const core = new Set([
      "Import-Module",
      "Get-Command",
      "Where-Object",
      "ForEach-Object",
      "Set-StrictMode",
    ]);
    const others = of("command").filter(
      (name) => !own.has(name) && !core.has(name) && !/^(Hyper-V|CimCmdlets)\\[A-Z]/.test(name),
    );
    // The parts of the script itself, and the two blocks of Get-RawCounters: constants, all of them.
    expect(others.sort()).toEqual(
      [
        "($KeyOf)",
        "($ValuesOf)",
        '(([System.IO.Path]::Combine($PSScriptRoot, "$part.ps1")))',
      ].sort(),
    );
  });

  test("leaves its input to itself: with $input in it, PowerShell would read it first", () => {
    const scripts = new Set(rows.flatMap(([, file]) => file ?? []));
    const text = [...scripts].map((script) => readFileSync(path.join(folder, script), "utf8"));
    expect(text.join("")).not.toMatch(/\$\{?input\b/i);
  });

  test("never evaluates text", () => {
    const evaluating =
      /Invoke-Expression|iex|scriptblock\]?::Create|InvokeScript|ExpandString|AddScript/i;
    expect([...of("command"), ...of("method")].filter((name) => evaluating.test(name))).toEqual([]);
  });

  test("uses only static members of .NET that .NET Framework 4.5 has too", () => {
    // Each looked up in Microsoft's API browser ("Applies to"); a new one must be, before it is added here.
    const known = `Array::Sort Console::OpenStandardInput Console::OpenStandardOutput Convert::FromBase64String
      Convert::ToBase64String Convert::ToString Math::Ceiling Math::Floor Math::Max NullString::Value decimal::Parse
      decimal::Truncate regex::IsMatch regex::Match regex::Replace string::Equals string::IsNullOrEmpty
      System.Globalization.CultureInfo::InvariantCulture System.Globalization.NumberStyles::Float
      System.IO.Directory::CreateDirectory System.IO.Directory::Delete System.IO.Directory::Exists
      System.IO.Directory::GetDirectories System.IO.Directory::GetFileSystemEntries System.IO.Directory::GetFiles
      System.IO.Directory::Move System.IO.File::Delete System.IO.File::Exists System.IO.File::Move
      System.IO.File::ReadAllText System.IO.File::Replace System.IO.File::WriteAllText System.IO.Path::ChangeExtension System.IO.Path::GetFileNameWithoutExtension
      System.IO.Path::Combine System.IO.Path::GetFileName System.IO.Path::GetPathRoot System.IO.Path::IsPathRooted
      System.Management.Automation.Language.Parser::ParseFile System.Reflection.Assembly::Load
      System.Runtime.Serialization.Json.JsonReaderWriterFactory::CreateJsonReader
      System.Runtime.Serialization.Json.JsonReaderWriterFactory::CreateJsonWriter System.StringComparer::Ordinal
      System.StringComparison::Ordinal System.StringComparison::OrdinalIgnoreCase System.Text.Encoding::ASCII
      System.Threading.Thread::CurrentThread System.Threading.Thread::Sleep System.Xml.DtdProcessing::Prohibit
      System.Xml.XmlDictionaryReaderQuotas::Max System.Xml.XmlReader::Create`;
    const allowed = new Set(known.split(/\s+/).map((name) => `[${name.replace("::", "]::")}`));
    // ::new is a word of PowerShell 5, for constructors.
    expect(of("method").filter((name) => !name.endsWith("::new") && !allowed.has(name))).toEqual(
      [],
    );
  });
});

function inspect(args: readonly string[], env: Record<string, string>): string[][] {
  const script = path.join(import.meta.dirname, "inspect.ps1");
  const text = execFileSync(
    pwsh ?? "pwsh",
    ["-NoProfile", "-NonInteractive", "-File", script, ...args],
    {
      encoding: "utf8",
      env: { ...process.env, ...env },
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  return text.split("\n").map((line) => line.trimEnd().split("\t"));
}

using System.Management.Automation;
using System.Management.Automation.Runspaces;

// Stands in for the pwsh executable where only its engine can be had. It takes the same arguments that Berth gives
// to powershell.exe: switches, then -File, a script, and that script's named arguments. The script reads standard
// input and writes standard output itself, as it does under the real console.
var at = Array.IndexOf(args, "-File");
if (at < 0 || at + 1 >= args.Length)
{
    Console.Error.WriteLine("usage: pwsh [switches] -File SCRIPT [-Name VALUE]...");
    return 64;
}
// Only Microsoft.PowerShell.Core: what agent.ps1 uses must not need more than this.
using var runspace = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
runspace.Open();
using var shell = PowerShell.Create(runspace);
shell.AddCommand(Path.GetFullPath(args[at + 1]));
for (var i = at + 2; i < args.Length; i++)
{
    var isName = args[i].StartsWith('-') && i + 1 < args.Length;
    if (isName) shell.AddParameter(args[i][1..], args[++i]);
    else shell.AddArgument(args[i]);
}
try
{
    foreach (var item in shell.Invoke()) Console.WriteLine(item);
}
catch (RuntimeException error)
{
    Console.Error.WriteLine(error.ErrorRecord);
    Console.Error.WriteLine(error.ErrorRecord.ScriptStackTrace);
    return 1;
}
foreach (var error in shell.Streams.Error) Console.Error.WriteLine(error);
return shell.HadErrors ? 1 : 0;

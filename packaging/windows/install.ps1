#Requires -Version 5.1
#Requires -RunAsAdministrator
# Makes this folder's release the one that runs, and registers the service BerthAgent. May be run again: what runs and is newer
# stays. Takes nothing from outside: the configuration is C:\ProgramData\Berth\agent.yaml.
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$name = 'BerthAgent'
$here = Split-Path -Parent $MyInvocation.MyCommand.Path
$data = Join-Path $env:ProgramData 'Berth'
$agentHome = Join-Path $data 'agent'
$program = Join-Path $env:ProgramFiles 'Berth'
$exe = Join-Path $program 'berth-agent-service.exe'

foreach ($folder in @($data, $agentHome, (Join-Path $agentHome 'releases'), $program)) {
    New-Item -ItemType Directory -Force -Path $folder | Out-Null
}
# The state holds this host's key: System and administrators alone.
& icacls.exe $data /inheritance:r /grant 'SYSTEM:(OI)(CI)F' 'Administrators:(OI)(CI)F' | Out-Null
if ($LASTEXITCODE -ne 0) { throw "icacls failed on $data" }
$config = Join-Path $data 'agent.yaml'
if (-not (Test-Path -LiteralPath $config)) { Copy-Item -LiteralPath (Join-Path $here 'agent.yaml') -Destination $config }

if (Get-Service -Name $name -ErrorAction SilentlyContinue) { Stop-Service -Name $name }
if (Test-Path -LiteralPath $exe) { Remove-Item -LiteralPath $exe }
# A service must answer Windows' service control, which Node does not: this program does, and starts Node.
Add-Type -Path (Join-Path $here 'launcher.cs') -OutputAssembly $exe -OutputType ConsoleApplication -ReferencedAssemblies 'System.ServiceProcess'

$release = Join-Path $here 'release'
$new = Join-Path (Join-Path $agentHome 'releases') '.packaged.new'
if (Test-Path -LiteralPath $new) { Remove-Item -LiteralPath $new -Recurse -Force }
Copy-Item -LiteralPath $release -Destination $new -Recurse
# Not the one in the new folder: a folder whose program runs cannot be renamed.
$node = Join-Path $release 'node.exe'
if (-not (Test-Path -LiteralPath $node)) {
    $own = Get-Command node.exe -ErrorAction SilentlyContinue
    if ($null -eq $own) { throw 'no node.exe: make the folder with --windows-node, or install Node 24' }
    $node = $own.Path
    Copy-Item -LiteralPath $node -Destination (Join-Path $new 'node.exe')
}
$env:BERTH_AGENT_HOME = $agentHome
& $node (Join-Path $release 'berth-agent.mjs') upgrade --packaged $new --state-dir (Join-Path $data 'state')
if ($LASTEXITCODE -ne 0) { throw 'the release was not put in place' }

if (-not (Get-Service -Name $name -ErrorAction SilentlyContinue)) {
    New-Service -Name $name -BinaryPathName ('"{0}"' -f $exe) -DisplayName 'Berth agent' -StartupType Automatic -DependsOn 'vmms' | Out-Null
}
& sc.exe failure $name reset= 0 actions= restart/5000/restart/5000/restart/5000 | Out-Null
Write-Output "installed. Set api in $config, put the join token into $data\join-token, then: Start-Service $name"

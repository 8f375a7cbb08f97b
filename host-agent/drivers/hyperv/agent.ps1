#requires -Version 5.1
# The Hyper-V side of Berth's agent: a constant script that a long-lived Windows PowerShell 5.1 or PowerShell 7 runs.
#
# It reads one request a line from standard input and writes one answer a line to standard output; each is
# "berth1 " and the base64 of UTF-8 JSON, so that no code page and no stray output of a module can change it.
# What arrives is data: every field is checked against its rule (requests.ps1) before any cmdlet sees it, and
# nothing is ever evaluated, expanded or put into a command line.
#
# Only cmdlets of Microsoft.PowerShell.Core, Hyper-V and CimCmdlets are used, and .NET for the rest: the same code in
# both editions, without the differences between their ConvertFrom-Json, and without wildcards in paths.
# It has run under PowerShell 7 against a stand-in module only (test/hyperv); not yet on Windows.
param([string]$HyperVModule = 'Hyper-V')

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
$ConfirmPreference = 'None'
[System.Threading.Thread]::CurrentThread.CurrentCulture = [System.Globalization.CultureInfo]::InvariantCulture

foreach ($part in 'wire', 'requests', 'ownership', 'inventory', 'hardware', 'lifecycle', 'checkpoints', 'moves', 'live', 'calls') {
    . ([System.IO.Path]::Combine($PSScriptRoot, "$part.ps1"))
}

$script:Config = $null
# The Berth that this request is of; null: it does not know.
$script:Installation = $null
# True from Windows Server 2016 on: told by what the module offers, not by a version number.
$script:Modern = $false
# Windows Server 2016 got automatic checkpoints, and the parameter that forbids them, only with an update of its module
# (Vagrant #10251, #10305), whatever its documentation says.
$script:AutomaticCheckpoints = $false

function Connect-HyperV {
    Import-Module -Name $HyperVModule -Scope Global
    $command = Get-Command -Name 'Hyper-V\Set-VM'
    $script:Modern = $command.Parameters.ContainsKey('CheckpointType')
    $script:AutomaticCheckpoints = $command.Parameters.ContainsKey('AutomaticCheckpointsEnabled')
}

function Invoke-Request($Request) {
    $script:Installation = $Request['installation']
    switch -CaseSensitive ($Request.op) {
        'configure' { return Set-AgentConfig $Request }
        'facts' { return Get-HostFacts }
        'list' { return Get-Inventory }
        'counters' { return Get-Counters }
        'guards' { return Get-Guards }
        'limits' { return Get-Limits }
        'guard' { return Restore-Guard $Request }
        'unclaimed' { return Get-UnclaimedVms }
        'claim' { return Add-Claim $Request }
        'create' { return New-OwnVm $Request }
        'start' { return Start-OwnVm $Request }
        'stop' { return Stop-OwnVm $Request }
        'reset' { return Reset-OwnVm $Request }
        'reboot' { return Restart-OwnGuest $Request }
        'resize' { return Resize-OwnVm $Request }
        'destroy' { return Remove-OwnVm $Request }
        'erase-seed' { return Remove-Seed $Request }
        'checkpoint' { return New-OwnCheckpoint $Request }
        'revert' { return Restore-OwnCheckpoint $Request }
        'delete-checkpoint' { return Remove-OwnCheckpoint $Request }
        'checkpoints' { return Get-OwnCheckpoints $Request }
        'describe' { return Get-DiskMakeup $Request }
        'export' { return Export-OwnDisk $Request }
        'import' { return Import-OwnVm $Request }
        'release' { return Set-Release $Request $true }
        'hold' { return Set-Release $Request $false }
        'live-end' { return Get-LiveEnd $Request }
        'live-prepare' { return New-LiveFolder $Request }
        'live-move' { return Move-OwnVm $Request }
        'live-stop' { return Stop-LiveMove $Request }
        'calls' { return Get-CmdletCalls }
    }
}

function Set-AgentConfig($Request) {
    $root = $Request.root
    $script:Config = @{
        Vms     = [System.IO.Path]::Combine($root, 'vms')
        Trash   = [System.IO.Path]::Combine($root, 'trash')
        Staging = [System.IO.Path]::Combine($root, 'staging')
        Moves   = [System.IO.Path]::Combine($root, 'moves')
        Images  = $Request.images
        Switch  = $Request.switch
        # Percent of a VM's memory that it may shrink to; null: memory is static.
        DynamicMemoryMinimumPercent = $Request.dynamicMemoryMinimumPercent
    }
    foreach ($folder in $script:Config.Vms, $script:Config.Trash, $script:Config.Staging, $script:Config.Moves) {
        $null = [System.IO.Directory]::CreateDirectory($folder)
    }
    Connect-HyperV
    @{ powershell = $PSVersionTable.PSVersion.ToString(); modern = $script:Modern }
}

$requests = [System.IO.StreamReader]::new([Console]::OpenStandardInput(), [System.Text.Encoding]::ASCII)
$answers = [Console]::OpenStandardOutput()
# PowerShell reads a redirected input itself only for a script that names the automatic variable of its input, which
# this one must not do. The agent closes our input when it ends, or its death does: then this loop ends too.
while ($null -ne ($line = $requests.ReadLine())) {
    $id = $null
    try {
        $request = Read-Request $line
        $id = $request.id
        # What a cmdlet leaks into the pipeline comes before the answer, which is the last thing.
        $answer = @{ id = $id; ok = $true; value = @(Invoke-Request $request)[-1] }
    }
    catch {
        $answer = @{ id = $id; ok = $false; error = ConvertTo-WireError $_ }
    }
    Write-Answer $answers $answer
}

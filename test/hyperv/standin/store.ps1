# The stand-in's state: host.json, and one file for each VM, replaced whole, so that a kill leaves the old or the new.

$script:State = $env:BERTH_HYPERV_STATE
$script:VmFiles = [System.IO.Path]::Combine($script:State, 'vms')
$script:KillFile = [System.IO.Path]::Combine($script:State, 'kill-at')
$script:LogFile = [System.IO.Path]::Combine($script:State, 'calls.log')
$null = [System.IO.Directory]::CreateDirectory($script:VmFiles)

function Read-Json([string]$Path, [type]$Type) {
    [System.Text.Json.JsonSerializer]::Deserialize([string][System.IO.File]::ReadAllText($Path), $Type, [System.Text.Json.JsonSerializerOptions]::Default)
}
function ConvertTo-Stored($Value) {
    [System.Text.Json.JsonSerializer]::Serialize([object]$Value, [type]$Value.GetType(), [System.Text.Json.JsonSerializerOptions]::Default)
}
function Get-StandinHost { Read-Json ([System.IO.Path]::Combine($script:State, 'host.json')) ([StandinHost]) }

function Get-StandinFile([guid]$Id) { [System.IO.Path]::Combine($script:VmFiles, "$Id.json") }

# A VM as it is now: what a guest did meanwhile (shut itself down) is done here.
function Read-StandinVm([string]$Path) {
    $vm = try { Read-Json $Path ([VirtualMachine]) } catch [System.IO.FileNotFoundException] { $null }
    if ($null -eq $vm) { return $null }
    $now = [datetime]::UtcNow.Ticks
    if ($vm.StandinAppears -gt $now) { return $null }
    if ($null -ne $vm.StandinMigration) {
        if ($vm.StandinMigration.Until -le $now) { Complete-StandinMigration $vm; return $null }
        $vm.SecondaryOperationalStatus = 'MigratingVirtualMachine'
    }
    if ($vm.StandinShutdown -gt 0 -and $vm.StandinShutdown -le $now) { Set-PoweredOff $vm }
    if ($vm.StandinShutdown -gt 0) { $vm.State = 'Stopping' }
    $vm.Heartbeat = if (Test-GuestReady $vm) { 'OkApplicationsUnknown' } else { 'NoContact' }
    $vm
}
function Test-GuestReady($Vm) {
    $Vm.StandinBoot -gt 0 -and ([datetime]::UtcNow.Ticks - $Vm.StandinBoot) / 10000 -ge $script:Standin.GuestBootMs
}
function Read-StandinVms { foreach ($path in [System.IO.Directory]::GetFiles($script:VmFiles, '*.json')) { $vm = Read-StandinVm $path; if ($null -ne $vm) { $vm } } }

# The service's end of a move: disk and VM are the other host's, and no more this one's. Whichever process comes first does it.
function Complete-StandinMigration($Vm) {
    $lock = [System.IO.Path]::Combine($script:State, 'migration.lock')
    $held = $null
    while ($null -eq $held) { try { $held = [System.IO.File]::Open($lock, 'OpenOrCreate', 'ReadWrite', 'None') } catch [System.IO.IOException] { [System.Threading.Thread]::Sleep(5) } }
    try {
        $own = Get-StandinFile $Vm.Id
        if (-not [System.IO.File]::Exists($own)) { return }
        $to = $Vm.StandinMigration
        $there = [System.IO.Path]::Combine((Get-StandinHost).Peers[$to.Computer], 'vms', "$($Vm.Id).json")
        $from = $Vm.HardDrives[0].Path
        if (-not [System.IO.File]::Exists($there)) {
            [System.IO.File]::Copy($from, "$($to.Disk).new", $true)
            [System.IO.File]::Move("$($to.Disk).new", $to.Disk, $true)
            $Vm.Path = $to.Path
            $Vm.HardDrives[0].Path = $to.Disk
            $Vm.StandinMigration = $null
            $Vm.SecondaryOperationalStatus = ''
            # Another process runs it there, and its guest does not notice.
            $Vm.StandinProcess += 1
            $Vm.StandinProcessStart = [datetime]::UtcNow.Ticks
            $null = [System.IO.Directory]::CreateDirectory([System.IO.Path]::Combine($to.Path, 'Virtual Machines'))
            [System.IO.File]::WriteAllText("$there.new", (ConvertTo-Stored $Vm))
            [System.IO.File]::Move("$there.new", $there, $true)
        }
        [System.IO.File]::Delete($from)
        [System.IO.File]::Delete($own)
    }
    finally { $held.Dispose() }
}

function Save-StandinVm($Vm) {
    $path = Get-StandinFile $Vm.Id
    # One name for each process: two workers may save at the same time.
    $fresh = "$path.$([Environment]::ProcessId).new"
    [System.IO.File]::WriteAllText($fresh, (ConvertTo-Stored $Vm))
    [System.IO.File]::Move($fresh, $path, $true)
}

# What a VM is when it was saved last, changed by the block, and saved. $_ is the VM.
function Update-StandinVm([string]$Cmdlet, [guid]$Id, [scriptblock]$Change) {
    $vm = Read-StandinVm (Get-StandinFile $Id)
    if ($null -eq $vm) { Stop-Cmdlet $Cmdlet 'ObjectNotFound' "Hyper-V was unable to find a virtual machine with id `"$Id`"." }
    if ($null -ne $vm.StandinMigration -and $Cmdlet -notin 'Move-VM', 'Invoke-CimMethod') { Stop-Cmdlet $Cmdlet 'InvalidState' 'The operation cannot be performed while the virtual machine is being migrated.' }
    $null = $vm | ForEach-Object $Change
    Save-StandinVm $vm
}

function Set-PoweredOff($Vm) {
    $Vm.State = 'Off'
    $Vm.MemoryAssigned = 0
    $Vm.StandinProcess = 0
    $Vm.StandinProcessStart = 0
    $Vm.StandinBoot = 0
    $Vm.StandinShutdown = 0
    $Vm.StandinGuestName = ''
}

# As the real module's errors read: "<id>,Microsoft.HyperV.PowerShell.Commands.<Cmdlet>", with "Command" on 2012 R2; those
# of virtual disks are a module of their own.
function Stop-Cmdlet([string]$Cmdlet, [string]$Id, [string]$Message) {
    $name = $Cmdlet.Replace('-', '') + $(if ($script:Windows -eq '2012r2') { 'Command' } else { '' })
    $class = "Microsoft.HyperV.PowerShell.Commands.$name"
    if ($Cmdlet.EndsWith('-VHD')) {
        $name = $name.Replace('VHD', 'Vhd')
        $class = if ($script:Windows -eq '2012r2') { "Microsoft.Vhd.PowerShell.$name" } else { "Microsoft.Vhd.PowerShell.Cmdlets.$name" }
    }
    $category = switch ($Id) {
        'InvalidParameter' { 'InvalidArgument' }
        'ObjectNotFound' { 'ObjectNotFound' }
        'InvalidState' { 'InvalidOperation' }
        'AccessDenied' { 'PermissionDenied' }
        'ObjectInUse' { 'ResourceBusy' }
        default { 'NotSpecified' }
    }
    throw [System.Management.Automation.ErrorRecord]::new([VirtualizationException]::new($Message), "$Id,$class", $category, $null)
}
function Assert-State([string]$Cmdlet, $Vm, [string[]]$States) {
    if ($States -notcontains [string]$Vm.State) { Stop-Cmdlet $Cmdlet 'InvalidState' "The operation cannot be performed while the virtual machine is in its current state ($($Vm.State))." }
}

# The body of every cmdlet: told to the log, slowed as the host says, and killed where the test says so. The file
# kill-at counts the edges of calls, before the first change and after the last, and the process dies at zero.
function Invoke-Cmdlet([string]$Cmdlet, [scriptblock]$Body) {
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    Step-TowardsKill
    $delay = 0
    $script:Standin = Get-StandinHost
    if ($null -ne $script:Standin.DelayMs -and $script:Standin.DelayMs.TryGetValue($Cmdlet, [ref]$delay)) { [System.Threading.Thread]::Sleep($delay) }
    $failure = ''
    if ($null -ne $script:Standin.FailWith -and $script:Standin.FailWith.TryGetValue($Cmdlet, [ref]$failure)) { Stop-Cmdlet $Cmdlet $failure "$Cmdlet fails here." }
    & $Body
    Step-TowardsKill
    if ([System.IO.File]::Exists($script:LogFile)) {
        [System.IO.File]::AppendAllText($script:LogFile, "$Cmdlet $($watch.Elapsed.TotalMilliseconds.ToString([cultureinfo]::InvariantCulture))`n")
    }
}
# What a cmdlet asked of Hyper-V's service comes true although its process is killed, and later: the file
# "late-<cmdlet>" says how many milliseconds later, once. Answers the instant, or 0.
function Get-LateInstant([string]$Cmdlet) {
    $file = [System.IO.Path]::Combine($script:State, "late-$Cmdlet")
    if (-not [System.IO.File]::Exists($file)) { return 0 }
    $ms = [int][System.IO.File]::ReadAllText($file)
    [System.IO.File]::Delete($file)
    [datetime]::UtcNow.AddMilliseconds($ms).Ticks
}
function Stop-LateProcess([long]$LateInstant) {
    if ($LateInstant -eq 0) { return }
    [System.Diagnostics.Process]::GetCurrentProcess().Kill()
    [System.Threading.Thread]::Sleep([System.Threading.Timeout]::Infinite)
}
function Step-TowardsKill {
    if (-not [System.IO.File]::Exists($script:KillFile)) { return }
    try {
        $left = [int][System.IO.File]::ReadAllText($script:KillFile) - 1
        if ($left -gt 0) { [System.IO.File]::WriteAllText($script:KillFile, "$left"); return }
    } catch [System.IO.IOException] {
        # Another process of this host counts its edge, or dies at it: a cmdlet of Hyper-V's would not fail for that.
        return
    }
    [System.IO.File]::Delete($script:KillFile)
    [System.Diagnostics.Process]::GetCurrentProcess().Kill()
    [System.Threading.Thread]::Sleep([System.Threading.Timeout]::Infinite)
}

# Moves of VMs that run, to a host that this one knows by name. The service does them, and goes on when who asked is gone.

# All of the host's and the VM's that stands against it. The message ids are Microsoft's where they are documented (33012).
function Get-StandinIncompatibilities($Vm, [string]$Disk, $There) {
    $entry = { param($id, $message) [VMCompatibilityReportEntry]@{ MessageId = $id; Message = $message } }
    foreach ($adapter in $Vm.NetworkAdapters) {
        if ($adapter.SwitchName -ne $There.Switch) { & $entry 33012 "Could not find Ethernet switch '$($adapter.SwitchName)'." }
    }
    if ($There.Processor -ne $script:Standin.Processor -and -not $Vm.StandinCompatible) { & $entry 24004 'The virtual machine is using processor-specific features not supported on the physical computer.' }
    foreach ($drive in $Vm.DVDDrives) { if ($drive.Path) { & $entry 40010 "The file '$($drive.Path)' was not found." } }
    if ([System.IO.File]::Exists($Disk)) { & $entry 32907 "The file '$Disk' exists." }
}

function Compare-VM {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(ParameterSetName = 'VMMultipleDestinations', Mandatory, Position = 0)][VirtualMachine]$VM, # 2016+
        [Parameter(ParameterSetName = 'VM', Mandatory, Position = 0)][VirtualMachine]$VM, # 2012 R2
        [Parameter(ParameterSetName = 'VMMultipleDestinations', Mandatory, Position = 1)][string]$DestinationHost, # 2016+
        [Parameter(ParameterSetName = 'VM', Mandatory, Position = 1)][string]$DestinationHost, # 2012 R2
        [Parameter(ParameterSetName = 'VMMultipleDestinations')][string]$VirtualMachinePath, # 2016+
        [Parameter(ParameterSetName = 'VM')][string]$VirtualMachinePath, # 2012 R2
        [Parameter(ParameterSetName = 'VMMultipleDestinations')][string]$SnapshotFilePath, # 2016+
        [Parameter(ParameterSetName = 'VM')][string]$SnapshotFilePath, # 2012 R2
        [Parameter(ParameterSetName = 'VMMultipleDestinations')][string]$SmartPagingFilePath, # 2016+
        [Parameter(ParameterSetName = 'VM')][string]$SmartPagingFilePath, # 2012 R2
        [Parameter(ParameterSetName = 'VMMultipleDestinations')][System.Collections.Hashtable[]]$Vhds # 2016+
        [Parameter(ParameterSetName = 'VM')][System.Collections.Hashtable[]]$Vhds # 2012 R2
    )
    Invoke-Cmdlet 'Compare-VM' {
        $now = Read-StandinVm (Get-StandinFile $VM.Id)
        $failed = "Virtual machine migration operation for '$($VM.Name)' failed at migration source '$(Get-StandinComputer)'."
        if (-not $script:Standin.MigrationEnabled) { Stop-Cmdlet 'Compare-VM' 'OperationFailed' "$failed The virtual machine migration is not enabled." }
        $state = $null
        if ($null -eq $script:Standin.Peers -or -not $script:Standin.Peers.TryGetValue($DestinationHost, [ref]$state)) { Stop-Cmdlet 'Compare-VM' 'OperationFailed' "$failed The connection to '$DestinationHost' failed: No such host is known. (0x80072AF9)" }
        $there = Read-Json ([System.IO.Path]::Combine($state, 'host.json')) ([StandinHost])
        if (-not $there.MigrationEnabled) { Stop-Cmdlet 'Compare-VM' 'OperationFailed' "$failed The destination does not take part in migrations. (0x80070490)" }
        # Nothing is shared: all of its files have to go along.
        if (@($Vhds).Count -ne @($now.HardDrives).Count) { Stop-Cmdlet 'Compare-VM' 'OperationFailed' "$failed A virtual hard disk is not accessible at the destination." }
        foreach ($drive in $now.HardDrives) {
            if (@($Vhds | Where-Object { $_.SourceFilePath -eq $drive.Path }).Count -ne 1) { Stop-Cmdlet 'Compare-VM' 'InvalidParameter' "'$($drive.Path)' is not among the disks that are to go." }
            if ((Read-StandinVhd 'Compare-VM' $drive.Path).Parent) { Stop-Cmdlet 'Compare-VM' 'OperationFailed' "$failed A parent of the virtual hard disk is missing at the destination." }
        }
        $disk = [string]$Vhds[0].DestinationFilePath
        [VMCompatibilityReport]@{
            VM = $now; Destination = $DestinationHost; Path = $VirtualMachinePath; StandinDisk = $disk
            Incompatibilities = @(Get-StandinIncompatibilities $now $disk $there)
        }
    }
}

function Move-VM {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(ParameterSetName = 'CompatibilityReport', Mandatory, Position = 0)][VMCompatibilityReport]$CompatibilityReport)
    Invoke-Cmdlet 'Move-VM' {
        $report = $CompatibilityReport
        if (@($report.Incompatibilities).Count -gt 0) { Stop-Cmdlet 'Move-VM' 'OperationFailed' 'The report has incompatibilities.' }
        $id = $report.VM.Id
        Update-StandinVm 'Move-VM' $id {
            Assert-State 'Move-VM' $_ 'Running', 'Paused', 'Off', 'Saved'
            if ($null -ne $_.StandinMigration) { Stop-Cmdlet 'Move-VM' 'InvalidState' 'The virtual machine is being migrated.' }
            $_.StandinMigration = [StandinMigration]@{ Computer = $report.Destination; Path = $report.Path; Disk = $report.StandinDisk; Until = [datetime]::UtcNow.AddMilliseconds($script:Standin.MigrationMs).Ticks }
        }
        Step-TowardsKill
        for (;;) {
            $vm = Read-StandinVm (Get-StandinFile $id)
            if ($null -eq $vm) { return }
            if ($null -eq $vm.StandinMigration) { Stop-Cmdlet 'Move-VM' 'OperationFailed' 'The virtual machine migration was canceled.' }
            [System.Threading.Thread]::Sleep(20)
        }
    }
}

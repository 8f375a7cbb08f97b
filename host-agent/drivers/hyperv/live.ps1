# Moves of a VM that runs, by Hyper-V itself: from the source's Compare-VM and Move-VM into the folder that the destination has made.
# Hyper-V's service does it, whatever becomes of the process that asked: what came of it is seen at both ends, by Get-LiveEnd.

# What this host shows of the VM. One that Hyper-V prepares for an arrival (a planned VM) Get-VM does not show, and one that has
# left is gone: there is nothing that could be marked as released.
function Get-LiveEnd($Request) {
    $vm = Find-OwnVm $Request.vmId
    if ($null -eq $vm) {
        $owner = Read-OwnerFile $Request.vmId
        if ($null -ne $owner) { Assert-Epoch $owner $Request }
        return @{ end = 'none' }
    }
    Assert-Epoch (Get-VmTag $vm) $Request
    if (Test-Moving $vm) { return @{ end = 'moving' } }
    $end = switch ([string]$vm.State) {
        'Running' { 'running' }
        'Paused' { 'paused' }
        { $_ -cin 'Off', 'Saved', 'FastSaved' } { 'off' }
        # It starts or stops: the next look says more.
        default { 'moving' }
    }
    @{ end = $end }
}

function Test-Moving($Vm) {
    $status = $Vm.PSObject.Properties['SecondaryOperationalStatus']
    $null -ne $status -and [string]$status.Value -eq 'MigratingVirtualMachine'
}

# The destination's folder of the VM, with its owner file, whose epoch counts more than the Notes that come with the VM.
function New-LiveFolder($Request) {
    Assert-SecureBoot $Request
    $hyperv = Hyper-V\Get-VMHost
    Assert-Migration $hyperv
    if ($null -ne (Find-OwnVm $Request.vmId)) { throw (New-Refusal 'unsupported' 'the VM is here already') }
    Assert-Folder $Request
    if (Test-Disk $Request.vmId) { throw (New-Refusal 'unsupported' 'a disk of the VM is here already') }
    Confirm-Folder $Request
    @{ computer = [string]$hyperv.ComputerName; folder = Get-VmFolder $Request.vmId }
}

function Assert-Migration($Hyperv) {
    if (-not $Hyperv.VirtualMachineMigrationEnabled) { throw (New-Refusal 'unsupported' 'this host takes part in no moves of VMs that run: Enable-VMMigration') }
}

# Everything that is not known to go well is refused before anything is moved.
function Move-OwnVm($Request) {
    $vm = Get-OwnVm $Request
    Assert-NotReleased $vm
    Assert-Migration (Hyper-V\Get-VMHost)
    if ([string]$vm.State -ne 'Running') { throw (New-Refusal 'unsupported' "the VM is $($vm.State), and not running") }
    $disk = Get-MovedDisk $vm $Request
    # Whether Hyper-V would carry an image along that other VMs stand on, and delete it here, nobody has tried.
    if ([string](Hyper-V\Get-VHD -Path $disk).ParentPath -ne '') { throw (New-Refusal 'unsupported' 'its disk stands on an image: once it was moved cold it stands alone') }
    if (@(Hyper-V\Get-VMDvdDrive -VM $vm | Where-Object { -not [string]::IsNullOrEmpty($_.Path) }).Count -gt 0) { throw (New-Refusal 'unsupported' 'a medium is in its drive, which the other host does not have') }
    $files = @(@{ SourceFilePath = $disk; DestinationFilePath = [System.IO.Path]::Combine($Request.folder, [System.IO.Path]::GetFileName($disk)) })
    # -IncludeStorage is of another parameter set, which would put the disk into a folder of its own.
    $report = Hyper-V\Compare-VM -VM $vm -DestinationHost $Request.computer -VirtualMachinePath $Request.folder -SnapshotFilePath $Request.folder -SmartPagingFilePath $Request.folder -Vhds $files
    $against = @($report.Incompatibilities | ForEach-Object { "$($_.Message) [$($_.MessageId)]" })
    if ($against.Count -gt 0) { throw (New-Refusal 'unsupported' (Limit-Text ($against -join '; ') 700)) }
    Hyper-V\Move-VM -CompatibilityReport $report
    @{}
}

# As much as can be done: a move that is in its last moments goes through. JobState 2 to 4: new, starting, running.
function Stop-LiveMove($Request) {
    $vm = Find-OwnVm $Request.vmId
    if ($null -eq $vm) { return @{} }
    Assert-Epoch (Get-VmTag $vm) $Request
    $guid = ([string]$vm.Id).ToUpperInvariant()
    foreach ($job in @(CimCmdlets\Get-CimInstance -Namespace $script:V2 -ClassName 'Msvm_MigrationJob' -Filter "VirtualSystemName = '$guid'")) {
        if ([int]$job.JobState -notin 2, 3, 4) { continue }
        # 4: to end it.
        $null = CimCmdlets\Invoke-CimMethod -InputObject $job -MethodName 'RequestStateChange' -Arguments @{ RequestedState = [uint16]4 }
    }
    @{}
}

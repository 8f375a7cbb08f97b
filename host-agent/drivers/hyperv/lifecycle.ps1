# A VM's life. Every function may be cut short at any point and called again.

# The agent calls it twice: first without a seed, and when a seed is needed again with one in the staging folder. So a
# VM that is whole already costs no seed, and no one-time password.
function New-OwnVm($Request) {
    Assert-SecureBoot $Request
    $null = Get-ImagePath $Request
    if (-not $Request.seeded -and -not [System.IO.Directory]::Exists((Get-VmFolder $Request.vmId))) { return @{ needsSeed = $true } }
    $vm = Find-TrueVm $Request
    if (Test-Whole $vm $Request) { return @{ needsSeed = $false } }
    Assert-Folder $Request
    if (-not $Request.seeded) { return @{ needsSeed = $true } }
    Confirm-Folder $Request
    Confirm-Disk $Request
    Move-Seed $Request
    Complete-OwnVm $vm $Request
    @{ needsSeed = $false }
}

function Assert-SecureBoot($Request) {
    if ($Request.secureBoot -ceq 'uefi-ca' -and -not $script:Modern) { throw (New-Refusal 'unsupported' 'this version of Windows has no secure boot for other systems than Windows') }
}

# False where there is none yet, or a shell that may be completed.
function Test-Whole($Vm, $Request) {
    if ($null -eq $Vm) { return $false }
    if ((Get-VmTag $Vm).ready) {
        if (Test-Disk $Request.vmId) { return $true }
        # It was whole once, so its disk held data: a fresh one in its place would hide the loss.
        throw (New-Refusal 'driver_failed' 'a disk of this VM is missing')
    }
    if ([string]$Vm.State -ne 'Off') { throw (New-Refusal 'driver_failed' "the VM is $($Vm.State) before it was complete") }
    $false
}

function Assert-Folder($Request) {
    $owner = Read-OwnerFile $Request.vmId
    if ($null -ne $owner) { Assert-Epoch $owner $Request }
}

function Confirm-Folder($Request) {
    if ($null -ne (Read-OwnerFile $Request.vmId)) { return }
    $null = [System.IO.Directory]::CreateDirectory((Get-VmFolder $Request.vmId))
    Write-OwnerFile $Request.vmId $Request.epoch
}

# Makes the VM whole, whose folder, disk and seed are there. $Vm: the shell that an earlier attempt left, or null.
function Complete-OwnVm($Vm, $Request) {
    # Again, as one may have come meanwhile. One that comes later still is seen by `list`, which asks for the same call.
    if ($null -eq $Vm) { $Vm = Find-TrueVm $Request }
    if ($null -eq $Vm) {
        # Hyper-V puts the VM's files into a folder of the VM's name under -Path: the folder that is there already.
        $generation = if ($Request.firmware -ceq 'bios') { 1 } else { 2 }
        $Vm = Hyper-V\New-VM -Name $Request.vmId -Generation $generation -MemoryStartupBytes ([long]$Request.memoryMib * 1MB) -Path $script:Config.Vms -NoVHD
        $script:KnownIds[$Request.vmId] = $Vm.Id
    }
    Set-VmTag $Vm $Request $Request.diskGib 'creating'
    $Vm = Get-OwnVm $Request
    Set-VmHardware $Vm $Request
    Set-VmTag (Get-OwnVm $Request) $Request $Request.diskGib 'ready'
}

# Berth's VM of this id, or null, after whatever else carries its tag was removed: shells that never became whole.
function Find-TrueVm($Request) {
    $all = @(Find-AllOwnVms $Request.vmId)
    if ($all.Count -eq 0) { return $null }
    foreach ($vm in $all) { Assert-Epoch (Get-VmTag $vm) $Request }
    $kept = Select-TrueVm $all
    foreach ($vm in $all) {
        if ($vm.Id -eq $kept.Id) { continue }
        if ((Get-VmTag $vm).ready -or [string]$vm.State -ne 'Off') {
            throw (New-Refusal 'driver_failed' 'two VMs carry the tag of this VM')
        }
        # Its disk, if it has one, is the other's too, and stays.
        foreach ($drive in @(Hyper-V\Get-VMHardDiskDrive -VM $vm)) { Hyper-V\Remove-VMHardDiskDrive -VMHardDiskDrive $drive }
        Hyper-V\Remove-VM -VM $vm -Force
    }
    $script:KnownIds[$Request.vmId] = $kept.Id
    $kept
}

# The seed was written by the agent into the staging folder, whole. A VM that is not complete never ran: its older
# seed, if any, may be replaced. Set-VmDrives attaches the new one.
function Move-Seed($Request) {
    $staged = [System.IO.Path]::Combine($script:Config.Staging, "$($Request.vmId).iso")
    $seed = Get-SeedPath $Request.vmId
    if (-not [System.IO.File]::Exists($staged)) { throw (New-Refusal 'driver_failed' 'the seed of the VM was not staged') }
    if ([System.IO.File]::Exists($seed)) { [System.IO.File]::Delete($seed) }
    [System.IO.File]::Move($staged, $seed)
}

# A start that cannot be is answered with what keeps it: a memory that is not restored, which the agent may then have
# dropped, or a file of the disk that is gone, which no attempt brings back.
function Start-OwnVm($Request) {
    $vm = Get-OwnVm $Request
    Assert-NotReleased $vm
    $state = [string]$vm.State
    $started = @{ restoreFailed = $null; missingLayer = $null }
    if ($state -eq 'Running' -or $state -eq 'Starting' -or $state -eq 'Resuming') { return $started }
    if (-not (Get-VmTag $vm).ready) { throw (New-Refusal 'driver_failed' 'the VM is not complete') }
    if ($state -eq 'Paused') { Hyper-V\Resume-VM -VM $vm }
    elseif ($state -eq 'Off' -or $state -eq 'Saved' -or $state -eq 'FastSaved') {
        if ($state -ne 'Off' -and $Request.dropSavedState) { Hyper-V\Remove-VMSavedState -VM $vm }
        try { Hyper-V\Start-VM -VM $vm }
        catch { return Get-StartFailure $vm $_ }
    }
    else { throw (New-Refusal 'driver_failed' "the VM is $state") }
    $started
}

function Get-StartFailure($Vm, $Record) {
    $missing = Find-MissingLayer $Vm
    if ($null -ne $missing) { return @{ restoreFailed = $null; missingLayer = Limit-Text $missing 700 } }
    $refused = ConvertTo-WireError $Record
    # A host without memory, say: the saved one is not to blame.
    if ($refused.code -cne 'driver_failed' -or [string](Hyper-V\Get-VM -Id $Vm.Id).State -notin 'Saved', 'FastSaved') { throw $Record }
    @{ restoreFailed = "$($refused.detail) [$($refused.errorId)]"; missingLayer = $null }
}

# The first file that is not there, from the layer that the VM writes to down to its image, or one that does not open, as
# when the file under it is gone; null: all are whole.
function Find-MissingLayer($Vm) {
    foreach ($drive in @(Hyper-V\Get-VMHardDiskDrive -VM $Vm)) {
        $path = [string]$drive.Path
        for ($depth = 0; $depth -lt 100 -and -not [string]::IsNullOrEmpty($path); $depth++) {
            if (-not [System.IO.File]::Exists($path)) { return $path }
            try { $path = [string](Hyper-V\Get-VHD -Path $path).ParentPath } catch { return $path }
        }
    }
}

# Somebody deleted a checkpoint, and Hyper-V still writes its layer into the one below: meanwhile it refuses what concerns
# the disk, and what is done to its files by hand breaks it. Waited for; what takes longer is asked for again.
$script:MergeWaitSeconds = 60
function Wait-Merge($Vm) {
    for ($waited = 0; Test-Merge (Hyper-V\Get-VM -Id $Vm.Id); $waited++) {
        if ($waited -ge $script:MergeWaitSeconds) { throw (New-Refusal 'timed_out' "Hyper-V merges the layers of a checkpoint of this VM: not done after $waited s, and waited for again") }
        [System.Threading.Thread]::Sleep(1000)
    }
}

function Test-Merge($Vm) {
    $status = $Vm.PSObject.Properties['SecondaryOperationalStatus']
    $null -ne $status -and [string]$status.Value -eq 'MergingDisks'
}

function Stop-OwnVm($Request) {
    if ($Request.mode -ceq 'firm') { return Stop-AllOwnVms $Request }
    $vm = Get-OwnVm $Request
    $state = [string]$vm.State
    if ($state -eq 'Off') { return @{} }
    # A guest that sleeps must wake to be asked: the caller asks again.
    if ($state -cin 'Paused', 'Saved', 'FastSaved') { Assert-NotReleased $vm }
    if ($state -eq 'Paused') { Hyper-V\Resume-VM -VM $vm }
    elseif ($state -eq 'Saved' -or $state -eq 'FastSaved') { Hyper-V\Start-VM -VM $vm }
    if ($state -ne 'Running') { return @{ asked = $false } }
    @{ asked = Invoke-ShutdownComponent $vm 'InitiateShutdown' }
}

# What must be off is off, even where two VMs carry one tag: who is asked to stop what is off already looks at all VMs.
function Stop-AllOwnVms($Request) {
    if ($script:KnownIds.ContainsKey($Request.vmId)) {
        $vm = Find-OwnVm $Request.vmId
        if ($null -ne $vm -and [string]$vm.State -ne 'Off') {
            Assert-Epoch (Get-VmTag $vm) $Request
            Stop-Firmly $vm
            return @{}
        }
    }
    $all = @(Find-AllOwnVms $Request.vmId)
    if ($all.Count -eq 0) { return Assert-NoVm $Request }
    foreach ($vm in $all) { Assert-Epoch (Get-VmTag $vm) $Request }
    foreach ($vm in $all) { Stop-Firmly $vm }
    @{}
}

# "...Critical" is the same state with storage that is lost or full. What is off or saved has no power to cut, and
# Hyper-V refuses to.
function Stop-Firmly($Vm) {
    switch ([string]$Vm.State) {
        { $_ -in 'Off', 'OffCritical' } { return }
        { $_ -in 'Saved', 'FastSaved', 'SavedCritical', 'FastSavedCritical' } { Hyper-V\Remove-VMSavedState -VM $Vm }
        default { Hyper-V\Stop-VM -VM $Vm -TurnOff -Force }
    }
}

# Asks the guest and returns. Not Stop-VM: that waits for the guest, gives the request up when its process ends,
# prompts where the guest has no shutdown service yet, and with -Force cuts the power after five minutes.
# false: the guest cannot be asked now (it boots, or has no integration services).
function Invoke-ShutdownComponent($Vm, [string]$Method) {
    $guid = ([string]$Vm.Id).ToUpperInvariant()
    $component = CimCmdlets\Get-CimInstance -Namespace $script:V2 -ClassName 'Msvm_ShutdownComponent' -Filter "SystemName = '$guid'"
    if ($null -eq $component) { return $false }
    $result = CimCmdlets\Invoke-CimMethod -InputObject $component -MethodName $Method -Arguments @{ Force = $true; Reason = 'Berth' }
    # 0 done, 4096 a job was started, 32782 a shutdown is going on already.
    [int]$result.ReturnValue -in 0, 4096, 32782
}

function Reset-OwnVm($Request) {
    $vm = Get-OwnVm $Request
    if ([string]$vm.State -ne 'Running') { throw (New-Refusal 'unsupported' 'the VM is not running') }
    Hyper-V\Restart-VM -VM $vm -Force
    @{}
}

function Restart-OwnGuest($Request) {
    $vm = Get-OwnVm $Request
    if ([string]$vm.State -ne 'Running') { throw (New-Refusal 'unsupported' 'the VM is not running') }
    if (-not $script:Modern) { throw (New-Refusal 'unsupported' 'a guest can be asked to reboot from Windows Server 2016 on') }
    if (-not (Invoke-ShutdownComponent $vm 'InitiateReboot')) { throw (New-Refusal 'unsupported' 'the guest cannot be asked now') }
    @{}
}

function Remove-OwnVm($Request) {
    $all = @(Find-AllOwnVms $Request.vmId)
    foreach ($vm in $all) { Assert-Epoch (Get-VmTag $vm) $Request }
    foreach ($vm in $all) { Wait-Merge $vm }
    foreach ($vm in $all) {
        # The owner file says whose the folder is once the VM is gone.
        if ($null -eq (Read-OwnerFile $Request.vmId)) { Write-OwnerFile $Request.vmId $Request.epoch }
        Stop-Firmly $vm
        # Detached first: Remove-VM would begin to merge the layers of checkpoints, into files that go to the trash.
        foreach ($drive in @(Hyper-V\Get-VMHardDiskDrive -VM $vm)) { Hyper-V\Remove-VMHardDiskDrive -VMHardDiskDrive $drive }
        Hyper-V\Remove-VM -VM $vm -Force
    }
    $script:KnownIds.Remove($Request.vmId)
    # A seed that was not taken, a copy of its disk that was not finished.
    foreach ($staged in "$($Request.vmId).iso", "$($Request.vmId).vhdx") { [System.IO.File]::Delete([System.IO.Path]::Combine($script:Config.Staging, $staged)) }
    $folder = Get-VmFolder $Request.vmId
    if (-not [System.IO.Directory]::Exists($folder)) { return @{} }
    $owner = Read-OwnerFile $Request.vmId
    # Without an owner file only an empty folder can be ours: a creation that was killed right after it.
    if ($null -eq $owner) {
        if ([System.IO.Directory]::GetFileSystemEntries($folder).Length -gt 0 -and $all.Count -eq 0) {
            throw (New-Refusal 'not_ours' 'the folder of this VM has no owner file')
        }
        [System.IO.Directory]::Delete($folder)
        return @{}
    }
    Assert-Epoch $owner $Request
    # One rename on one volume. While Hyper-V still holds a file it fails, and the same call later goes on here.
    [System.IO.Directory]::Move($folder, [System.IO.Path]::Combine($script:Config.Trash, "$($Request.at)_$($Request.vmId)_$($Request.epoch)"))
    @{}
}

function Dismount-Seed($Vm) {
    foreach ($drive in @(Hyper-V\Get-VMDvdDrive -VM $Vm)) {
        if (-not [string]::IsNullOrEmpty($drive.Path)) { Hyper-V\Set-VMDvdDrive -VMDvdDrive $drive -Path $null }
    }
}

# Ejects the seed and deletes it: it holds the one-time password and the customer's user-data.
function Remove-Seed($Request) {
    Dismount-Seed (Get-OwnVm $Request)
    [System.IO.File]::Delete((Get-SeedPath $Request.vmId))
    @{}
}

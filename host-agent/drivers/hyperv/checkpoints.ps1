# Checkpoints, named by the id that the control plane gave them. Each call may be repeated.

# All of this name, the first first: a process that was killed in Checkpoint-VM leaves Hyper-V's service at work, and
# its checkpoint may come late, when another attempt has made one too.
function Find-Checkpoints($Vm, [string]$CheckpointId) {
    $found = @(Hyper-V\Get-VMSnapshot -VM $Vm | Where-Object { $_.Name -ceq $CheckpointId })
    $first = $null
    foreach ($one in $found) { if ($null -eq $first -or $one.CreationTime -lt $first.CreationTime) { $first = $one } }
    if ($null -ne $first) { $first }
    foreach ($one in $found) { if ($one.Id -ne $first.Id) { $one } }
}

# The one of this name, or null, after any other was removed.
function Get-OnlyCheckpoint($Vm, [string]$CheckpointId) {
    $found = @(Find-Checkpoints $Vm $CheckpointId)
    for ($n = 1; $n -lt $found.Count; $n++) { Hyper-V\Remove-VMSnapshot -VMSnapshot $found[$n] -Confirm:$false }
    if ($found.Count -gt 0) { $found[0] }
}

function New-OwnCheckpoint($Request) {
    $vm = Get-OwnVm $Request
    Assert-NotReleased $vm
    if ($null -ne (Get-OnlyCheckpoint $vm $Request.checkpointId)) { return @{} }
    Wait-Merge $vm
    if (@(Hyper-V\Get-VMSnapshot -VM $vm).Count -ge $Request.most) { throw (New-Refusal 'beyond_limits' "the VM has $($Request.most) checkpoints, which is all that it can have") }
    Hyper-V\Checkpoint-VM -VM $vm -SnapshotName $Request.checkpointId
    @{}
}

# A checkpoint brings back all of its time: the Notes, whose epoch the owner file outlives until they are written anew;
# the hardware, which is set to what is wanted now; with a standard checkpoint a memory, which would not fit it, and is
# let go. The size of the disk is read from the disk.
function Restore-OwnCheckpoint($Request) {
    $vm = Get-OwnVm $Request
    Assert-NotReleased $vm
    $checkpoint = Get-OnlyCheckpoint $vm $Request.checkpointId
    if ($null -eq $checkpoint) { throw (New-Refusal 'driver_failed' 'there is no such checkpoint') }
    Wait-Merge $vm
    Stop-Firmly $vm
    Hyper-V\Restore-VMSnapshot -VMSnapshot $checkpoint -Confirm:$false
    $vm = Get-OwnVm $Request
    Stop-Firmly $vm
    $vm = Get-OwnVm $Request
    # It may be of a time when the seed was in the drive: a VM whose medium is gone does not start.
    if (-not (Test-Seed $Request.vmId)) { Dismount-Seed $vm }
    Hyper-V\Set-VM -VM $vm -AutomaticStartAction Nothing -AutomaticStopAction ShutDown
    Set-VmCpu $vm $Request
    Set-VmMemorySize $vm $Request
    Set-VmNics $vm $Request
    Set-VmLimits $vm $Request
    $disk = Get-SystemDisk $vm
    Set-VmTag $vm $Request ([int]((Hyper-V\Get-VHD -Path $disk.Path).Size / 1GB)) 'ready'
    @{}
}

function Remove-OwnCheckpoint($Request) {
    $vm = Get-OwnVm $Request
    foreach ($checkpoint in @(Find-Checkpoints $vm $Request.checkpointId)) { Hyper-V\Remove-VMSnapshot -VMSnapshot $checkpoint -Confirm:$false }
    @{}
}

function Get-OwnCheckpoints($Request) {
    $vm = Get-OwnVm $Request
    @{
        checkpoints = @(Hyper-V\Get-VMSnapshot -VM $vm |
                Where-Object { $_.Name -cmatch $script:Patterns.uuid } |
                ForEach-Object { @{ checkpointId = $_.Name; createdAt = $_.CreationTime.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ss.fffZ') } })
    }
}

# Checkpoints, named by the id that the control plane gave them. Each call may be repeated.

function Find-Checkpoint($Vm, [string]$CheckpointId) {
    Hyper-V\Get-VMSnapshot -VM $Vm | Where-Object { $_.Name -ceq $CheckpointId }
}

function New-OwnCheckpoint($Request) {
    $vm = Get-OwnVm $Request
    if ($null -eq (Find-Checkpoint $vm $Request.checkpointId)) { Hyper-V\Checkpoint-VM -VM $vm -SnapshotName $Request.checkpointId }
    @{}
}

# A checkpoint brings back the Notes of its time too. The owner file keeps the epoch until they are written anew, and
# the size of the disk is read from the disk.
function Restore-OwnCheckpoint($Request) {
    $vm = Get-OwnVm $Request
    $checkpoint = Find-Checkpoint $vm $Request.checkpointId
    if ($null -eq $checkpoint) { throw (New-Refusal 'driver_failed' 'there is no such checkpoint') }
    Stop-Firmly $vm
    Hyper-V\Restore-VMSnapshot -VMSnapshot $checkpoint -Confirm:$false
    $vm = Get-OwnVm $Request
    # It may be of a time when the seed was in the drive: a VM whose medium is gone does not start.
    if (-not (Test-Seed $Request.vmId)) { Dismount-Seed $vm }
    $disk = Get-SystemDisk $vm
    Set-VmTag $vm $Request ([int]((Hyper-V\Get-VHD -Path $disk.Path).Size / 1GB)) 'ready'
    @{}
}

function Remove-OwnCheckpoint($Request) {
    $vm = Get-OwnVm $Request
    $checkpoint = Find-Checkpoint $vm $Request.checkpointId
    if ($null -ne $checkpoint) { Hyper-V\Remove-VMSnapshot -VMSnapshot $checkpoint -Confirm:$false }
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

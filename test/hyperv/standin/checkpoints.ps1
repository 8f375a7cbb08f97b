# Checkpoints. Each keeps the configuration of its time, Notes included, and the layer that the disk had.

function Checkpoint-VM {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Name')]
    param(
        [Parameter(ParameterSetName = 'Name', Mandatory, Position = 0)][Alias('VMName')][string[]]$Name,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [Parameter(ParameterSetName = 'Name', Position = 1)]
        [Parameter(ParameterSetName = 'VMObject', Position = 1)][string]$SnapshotName
    )
    Invoke-Cmdlet 'Checkpoint-VM' {
        $late = Get-LateInstant 'Checkpoint-VM'
        foreach ($one in Select-StandinVm 'Checkpoint-VM' $VM $Name) {
            Update-StandinVm 'Checkpoint-VM' $one.Id {
                if ($_.StandinSnapshots.Count -ge $script:CheckpointMaximum) { Stop-Cmdlet 'Checkpoint-VM' 'InvalidOperation' 'The virtual machine has all checkpoints that it can have.' }
                $kept = $_.StandinSnapshots
                $_.StandinSnapshots = @()
                $configuration = ConvertTo-Stored $_
                $_.StandinSnapshots = @($kept) + [VMSnapshot]@{ Id = [guid]::NewGuid(); VMId = $_.Id; Name = $SnapshotName; CreationTime = [datetime]::Now; SnapshotType = 'Standard'; StandinConfiguration = $configuration; StandinAppears = $late }
                Add-StandinLayer $_
            }
        }
        Stop-LateProcess $late
    }
}

# From now on the VM writes into a new layer on the disk that it has.
function Add-StandinLayer($Vm) {
    foreach ($drive in $Vm.HardDrives) {
        $layer = [System.IO.Path]::Combine([System.IO.Path]::GetDirectoryName($drive.Path), "disk_$("$([guid]::NewGuid())".ToUpperInvariant()).avhdx")
        Write-StandinVhd $layer 'Differencing' (Read-StandinVhd 'Checkpoint-VM' $drive.Path).Size $drive.Path
        $drive.Path = $layer
    }
}

function Get-VMSnapshot {
    [CmdletBinding(DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Get-VMSnapshot' { foreach ($one in Select-StandinVm 'Get-VMSnapshot' $VM $VMName) { (Read-StandinVm (Get-StandinFile $one.Id)).StandinSnapshots | Where-Object { $_.StandinAppears -le [datetime]::UtcNow.Ticks } } }
}

function Restore-VMSnapshot {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'SnapshotName')]
    param(
        [Parameter(ParameterSetName = 'SnapshotName', Mandatory, Position = 0)][string]$Name,
        [Parameter(ParameterSetName = 'SnapshotName', Mandatory, Position = 1)][string]$VMName,
        [Parameter(ParameterSetName = 'SnapshotObject', Mandatory, Position = 0)][VMSnapshot[]]$VMSnapshot # 2012 R2
        [Parameter(ParameterSetName = 'SnapshotObject', Mandatory, Position = 0)][VMSnapshot]$VMSnapshot # 2016+
    )
    Invoke-Cmdlet 'Restore-VMSnapshot' {
        $snapshot = @($VMSnapshot)[0]
        $now = Read-StandinVm (Get-StandinFile $snapshot.VMId)
        $then = [System.Text.Json.JsonSerializer]::Deserialize($snapshot.StandinConfiguration, [VirtualMachine], [System.Text.Json.JsonSerializerOptions]::Default)
        $then.StandinSnapshots = $now.StandinSnapshots
        Set-PoweredOff $then
        Add-StandinLayer $then
        Save-StandinVm $then
    }
}

function Remove-VMSnapshot {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'SnapshotName')]
    param(
        [Parameter(ParameterSetName = 'SnapshotName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'SnapshotObject', Mandatory, Position = 0)][VMSnapshot[]]$VMSnapshot
    )
    Invoke-Cmdlet 'Remove-VMSnapshot' {
        foreach ($one in $VMSnapshot) {
            Update-StandinVm 'Remove-VMSnapshot' $one.VMId {
                $_.StandinSnapshots = @($_.StandinSnapshots | Where-Object Id -NE $one.Id)
                # With the last one, the layers are merged into the disk.
                if ($_.StandinSnapshots.Count -eq 0) {
                    foreach ($drive in $_.HardDrives) {
                        $top = $drive.Path
                        $size = (Read-StandinVhd 'Remove-VMSnapshot' $top).Size
                        $written = @()
                        while ($drive.Path.EndsWith('.avhdx')) {
                            $layer = Read-StandinVhd 'Remove-VMSnapshot' $drive.Path
                            $written = @($layer.Written) + $written
                            $drive.Path = $layer.Parent
                        }
                        $base = Read-StandinVhd 'Remove-VMSnapshot' $drive.Path
                        if (-not $base.Real) { Write-StandinVhd $drive.Path $base.Type $size $base.Parent (@($base.Written) + $written) }
                        elseif ($written.Count -gt 0 -or $base.Size -ne $size) { Update-RealVhdx 'Remove-VMSnapshot' $top $drive.Path $base.Type $size }
                    }
                }
            }
        }
    }
}

# The host's part of a move: what a VM's disk is made of, the disk out into a file of the folder of moves, a disk that came
# into that folder in, and the mark of a copy that another host has taken over. Each call may be cut short and repeated.

# The agent names the file, and nothing else of its path.
function Get-MoveFile($Request) { [System.IO.Path]::Combine($script:Config.Moves, $Request.file) }

function Get-MovedVm($Request) {
    $vm = Find-OwnVm $Request.vmId
    if ($null -eq $vm) {
        $owner = Read-OwnerFile $Request.vmId
        if ($null -ne $owner) { Assert-Epoch $owner $Request }
        throw (New-Refusal 'vm_missing' 'there is no such VM on this host')
    }
    Assert-Epoch (Get-VmTag $vm) $Request
    $vm
}

# Saved is not off: a memory that lies beside its disk would be lost.
function Assert-Off($Vm) {
    if ([string]$Vm.State -ne 'Off') { throw (New-Refusal 'must_be_off' "the VM is $($Vm.State)") }
}

# The path of its disk, which is all that it has. Checkpoints are layers that would not go with it, whoever made them, and
# staff or the customer may want them still: they are refused until somebody deletes them.
function Get-MovedDisk($Vm, $Request) {
    Wait-Merge $Vm
    if (@(Hyper-V\Get-VMSnapshot -VM $Vm).Count -gt 0) { throw (New-Refusal 'unsupported' 'a VM with checkpoints cannot be moved: they would be lost') }
    $drives = @(Hyper-V\Get-VMHardDiskDrive -VM $Vm)
    if ($drives.Count -eq 0) { throw (New-Refusal 'driver_failed' 'the VM has no disk yet') }
    $path = Get-DiskPath $Request.vmId
    # A second disk, a disk of the host's, or a layer that a backup left.
    if ($drives.Count -gt 1 -or -not (Test-SamePath $drives[0].Path $path)) { throw (New-Refusal 'unsupported' 'the VM has a disk that is not of Berth') }
    $path
}

function Get-DiskMakeup($Request) {
    $vm = Get-MovedVm $Request
    $disk = Hyper-V\Get-VHD -Path (Get-MovedDisk $vm $Request)
    $bytes = [long]0
    $layer = $disk
    for ($depth = 0; $depth -lt 100 -and $null -ne $layer; $depth++) {
        $bytes += [long]$layer.FileSize
        $under = [string]$layer.ParentPath
        $layer = if ($under -eq '') { $null } else { Hyper-V\Get-VHD -Path $under }
    }
    @{ virtualBytes = [long]$disk.Size; layerBytes = $bytes; image = Get-ImageUnder $disk }
}

# The image that the disk stands on and on nothing else; null: it stands alone, or on something that is none.
function Get-ImageUnder($Disk) {
    $parent = [string]$Disk.ParentPath
    if ($parent -eq '') { return $null }
    $name = [System.IO.Path]::GetFileNameWithoutExtension($parent)
    if ($name -cnotmatch $script:Patterns.image -or -not (Test-SamePath $parent ([System.IO.Path]::Combine($script:Config.Images, "$name.vhdx")))) { return $null }
    if ([string](Hyper-V\Get-VHD -Path $parent).ParentPath -eq '') { $name }
}

# Written under another name, in a folder of the same volume, and moved when it is whole. Blocks of 1 MiB, as Microsoft
# advises for Linux's file systems: the file is no larger than what was written by the guest, rounded up to them.
function Export-OwnDisk($Request) {
    $vm = Get-MovedVm $Request
    Assert-Off $vm
    $disk = Get-MovedDisk $vm $Request
    $fresh = [System.IO.Path]::Combine($script:Config.Staging, "$($Request.vmId).vhdx")
    Remove-Copy $fresh
    try { Hyper-V\Convert-VHD -Path $disk -DestinationPath $fresh -VHDType Dynamic -BlockSizeBytes 1MB }
    catch {
        $record = $_
        # What is half written may be what the volume has no room for.
        try { [System.IO.File]::Delete($fresh) } catch { $null = $_ }
        throw $record
    }
    $file = Get-MoveFile $Request
    if ([System.IO.File]::Exists($file)) { [System.IO.File]::Delete($file) }
    [System.IO.File]::Move($fresh, $file)
    @{}
}

# Hyper-V's service goes on with a copy whose asker was killed, and holds its file meanwhile.
function Remove-Copy([string]$Path) {
    if (-not [System.IO.File]::Exists($Path)) { return }
    try { [System.IO.File]::Delete($Path) }
    catch [System.IO.IOException] { throw (New-Refusal 'timed_out' "an earlier copy of this VM's disk is written still: $($_.Exception.Message)") }
}

# The VM of the disk that was received, as `create` makes it, without a seed.
function Import-OwnVm($Request) {
    Assert-SecureBoot $Request
    $file = Get-MoveFile $Request
    $vm = Find-TrueVm $Request
    if (Test-Whole $vm $Request) {
        if ([System.IO.File]::Exists($file)) { throw (New-Refusal 'unsupported' 'the VM is here already, with a disk that may have been started') }
        return @{}
    }
    Assert-Folder $Request
    $places = $file, (Get-FreshDiskPath $Request.vmId), (Get-DiskPath $Request.vmId)
    if (@($places | Where-Object { [System.IO.File]::Exists($_) }).Count -eq 0) { throw (New-Refusal 'driver_failed' 'neither the VM nor the disk that was received is here') }
    Confirm-Folder $Request
    Confirm-ReceivedDisk $Request $file
    Complete-OwnVm $vm $Request
    @{}
}

# A disk that is there already is never written over: an earlier attempt took it, and somebody may have started it since.
function Confirm-ReceivedDisk($Request, [string]$File) {
    $path = Get-DiskPath $Request.vmId
    if (-not [System.IO.File]::Exists($path)) {
        $fresh = Get-FreshDiskPath $Request.vmId
        if ([System.IO.File]::Exists($File)) {
            if ([System.IO.File]::Exists($fresh)) { [System.IO.File]::Delete($fresh) }
            # Hyper-V reads no file but of its own endings.
            [System.IO.File]::Move($File, $fresh)
        }
        try { Assert-WholeDisk $fresh $Request }
        catch {
            $record = $_
            [System.IO.File]::Move($fresh, $File)
            throw $record
        }
        [System.IO.File]::Move($fresh, $path)
        return
    }
    Assert-WholeDisk $path $Request
    [System.IO.File]::Delete($File)
}

# The agent has read the file's head before: no parent is named in it that Hyper-V would open here.
function Assert-WholeDisk([string]$Path, $Request) {
    $disk = Hyper-V\Get-VHD -Path $Path
    if ([string]$disk.VhdFormat -ne 'VHDX' -or [string]$disk.VhdType -ne 'Dynamic' -or -not [string]::IsNullOrEmpty([string]$disk.ParentPath)) {
        throw (New-Refusal 'unsupported' "the disk that was received is a $($disk.VhdType) $($disk.VhdFormat), and not a dynamic VHDX")
    }
    $wanted = [uint64]$Request.diskGib * 1GB
    if ([uint64]$disk.Size -ne $wanted) { throw (New-Refusal 'unsupported' "the disk that was received has $($disk.Size) bytes, and the VM's has $wanted") }
}

# In the owner file, which outlives the Notes and speaks for every VM of the folder, and in the Notes, whose line an older
# agent does not take for that of a whole VM: it starts none either.
function Set-Release($Request, [bool]$Released) {
    $all = @(Find-AllOwnVms $Request.vmId)
    if ($all.Count -eq 0) { $null = Get-MovedVm $Request }
    foreach ($vm in $all) { Assert-Epoch (Get-VmTag $vm) $Request }
    if ($Released) { foreach ($vm in $all) { Assert-Off $vm } }
    Write-OwnerFile $Request.vmId $Request.epoch $Released
    foreach ($vm in $all) {
        # Of a VM that never was whole, or whose Notes are lost, the owner file says enough.
        $tag = Read-Tag $vm.Notes
        if ($null -ne $tag -and $tag.ready) { Set-VmTag $vm $Request $tag.diskGib $(if ($Released) { 'released' } else { 'ready' }) }
    }
    @{}
}

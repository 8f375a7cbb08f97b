# The parts of a VM. Each function brings one part to what the request says and may be repeated.

# A disk that lies on the image and grows on its own. Made under another name and moved when it is whole, so that a
# disk of the final name is never half made, and is never made twice.
function Confirm-Disk($Request) {
    $path = Get-DiskPath $Request.vmId
    if ([System.IO.File]::Exists($path)) { return }
    $image = Get-ImagePath $Request
    $fresh = Get-FreshDiskPath $Request.vmId
    if ([System.IO.File]::Exists($fresh)) { [System.IO.File]::Delete($fresh) }
    $wanted = [uint64]$Request.diskGib * 1GB
    $least = (Hyper-V\Get-VHD -Path $image).Size
    if ($wanted -lt $least) { throw (New-Refusal 'unsupported' "the image needs a disk of $([Math]::Ceiling($least / 1GB)) GiB") }
    $null = Hyper-V\New-VHD -Path $fresh -ParentPath $image -Differencing
    if ($wanted -gt $least) { Hyper-V\Resize-VHD -Path $fresh -SizeBytes $wanted }
    [System.IO.File]::Move($fresh, $path)
}

function Get-ImagePath($Request) {
    $path = [System.IO.Path]::Combine($script:Config.Images, "$($Request.image).vhdx")
    if (-not [System.IO.File]::Exists($path)) { throw (New-Refusal 'image_missing' "this host has no image $($Request.image)") }
    $path
}

function Set-VmHardware($Vm, $Request) {
    # Berth alone decides what starts, so that a VM whose entitlement ended stays off after the host rebooted.
    Hyper-V\Set-VM -VM $Vm -AutomaticStartAction Nothing -AutomaticStopAction ShutDown
    if ($script:Modern) { Hyper-V\Set-VM -VM $Vm -CheckpointType Production }
    if ($script:AutomaticCheckpoints) { Hyper-V\Set-VM -VM $Vm -AutomaticCheckpointsEnabled $false }
    Set-VmCpu $Vm $Request
    Set-VmMemorySize $Vm $Request
    Set-VmDrives $Vm $Request
    Set-VmNics $Vm $Request
    Set-VmLimits $Vm $Request
    Set-VmSecureBoot $Vm $Request
}

function Set-VmCpu($Vm, $Request) {
    if ($Vm.ProcessorCount -ne $Request.vcpus) { Hyper-V\Set-VMProcessor -VM $Vm -Count $Request.vcpus }
}

function Set-VmMemorySize($Vm, $Request) {
    $bytes = [long]$Request.memoryMib * 1MB
    $percent = $script:Config.DynamicMemoryMinimumPercent
    if ($null -eq $percent) {
        if ($Vm.DynamicMemoryEnabled) { Hyper-V\Set-VMMemory -VM $Vm -DynamicMemoryEnabled $false -StartupBytes $bytes }
        elseif ($Vm.MemoryStartup -ne $bytes) { Hyper-V\Set-VMMemory -VM $Vm -StartupBytes $bytes }
        return
    }
    # Hyper-V takes whole even MiB, and nothing below 32.
    $least = [long][Math]::Max(32, [Math]::Floor($Request.memoryMib * $percent / 200) * 2) * 1MB
    if (-not $Vm.DynamicMemoryEnabled -or $Vm.MemoryStartup -ne $bytes -or $Vm.MemoryMaximum -ne $bytes -or $Vm.MemoryMinimum -ne $least) {
        Hyper-V\Set-VMMemory -VM $Vm -DynamicMemoryEnabled $true -StartupBytes $bytes -MinimumBytes $least -MaximumBytes $bytes
    }
}

# Not every guest takes memory while it runs (an old kernel, FreeBSD): with those only a stop helps.
function Set-VmMemoryLive($Vm, $Request) {
    try { Set-VmMemorySize $Vm $Request }
    catch {
        $refused = ConvertTo-WireError $_
        if ($refused.code -cne 'driver_failed') { throw }
        throw (New-Refusal 'must_be_off' "memory did not change while the VM runs: $($refused.detail) [$($refused.errorId)]")
    }
}

function Set-VmDrives($Vm, $Request) {
    $disk = Get-DiskPath $Request.vmId
    if ($null -eq (Hyper-V\Get-VMHardDiskDrive -VM $Vm | Where-Object { Test-SamePath $_.Path $disk })) {
        # A BIOS boots from IDE alone.
        if ($Vm.Generation -eq 1) { Hyper-V\Add-VMHardDiskDrive -VM $Vm -ControllerType IDE -ControllerNumber 0 -ControllerLocation 0 -Path $disk }
        else { Hyper-V\Add-VMHardDiskDrive -VM $Vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 0 -Path $disk }
    }
    # Out and in again, though the path be the same: Hyper-V gives the VM rights to the very file that it attaches, and
    # an earlier attempt may have attached an older seed.
    Dismount-Seed $Vm
    $drives = @(Hyper-V\Get-VMDvdDrive -VM $Vm)
    if (-not (Test-Seed $Request.vmId)) {
        # One that came from another host read its seed there. It has the drive all the same.
        if ($drives.Count -eq 0) { Hyper-V\Add-VMDvdDrive -VM $Vm -ControllerNumber 0 -ControllerLocation 1 }
        return
    }
    $seed = Get-SeedPath $Request.vmId
    if ($drives.Count -eq 0) { Hyper-V\Add-VMDvdDrive -VM $Vm -ControllerNumber 0 -ControllerLocation 1 -Path $seed }
    else { Hyper-V\Set-VMDvdDrive -VMDvdDrive $drives[0] -Path $seed }
}

function Get-SystemDisk($Vm) {
    foreach ($drive in @(Hyper-V\Get-VMHardDiskDrive -VM $Vm)) { return $drive }
}

# One adapter for each NIC, with its pinned MAC, and only its own address as a source. An adapter that Berth did not
# order (New-VM adds one) is removed.
function Set-VmNics($Vm, $Request) {
    $names = @(foreach ($n in 0..($Request.nics.Count - 1)) { "nic$n" })
    foreach ($adapter in @(Hyper-V\Get-VMNetworkAdapter -VM $Vm)) {
        if ($names -cnotcontains $adapter.Name) { Hyper-V\Remove-VMNetworkAdapter -VMNetworkAdapter $adapter }
    }
    foreach ($n in 0..($Request.nics.Count - 1)) {
        $nic = $Request.nics[$n]
        $adapter = Hyper-V\Get-VMNetworkAdapter -VM $Vm | Where-Object { $_.Name -ceq $names[$n] }
        if ($null -eq $adapter) {
            $adapter = Hyper-V\Add-VMNetworkAdapter -VM $Vm -Name $names[$n] -SwitchName $script:Config.Switch -StaticMacAddress $nic.mac -Passthru
        }
        Hyper-V\Set-VMNetworkAdapter -VMNetworkAdapter $adapter -StaticMacAddress $nic.mac -MacAddressSpoofing Off -DhcpGuard On -RouterGuard On
        if ($null -eq $nic.vlan) { Hyper-V\Set-VMNetworkAdapterVlan -VMNetworkAdapter $adapter -Untagged }
        else { Hyper-V\Set-VMNetworkAdapterVlan -VMNetworkAdapter $adapter -Access -VlanId $nic.vlan }
        Set-AntiSpoof $adapter $nic.address
    }
}

# The longest match wins: everything is denied but the NIC's own address. ARP passes; the pinned MAC bounds it.
function Set-AntiSpoof($Adapter, [string]$Address) {
    $old = @(Hyper-V\Get-VMNetworkAdapterAcl -VMNetworkAdapter $Adapter)
    if ($old.Count -gt 0) { Hyper-V\Remove-VMNetworkAdapterAcl -InputObject $old }
    Hyper-V\Add-VMNetworkAdapterAcl -VMNetworkAdapter $Adapter -LocalIPAddress 'ANY' -Direction Outbound -Action Deny
    Hyper-V\Add-VMNetworkAdapterAcl -VMNetworkAdapter $Adapter -LocalIPAddress "$Address/32" -Direction Outbound -Action Allow
}

# Bandwidth and IOPS may change while the VM runs. 0 means no limit to both cmdlets.
function Set-VmLimits($Vm, $Request) {
    foreach ($n in 0..($Request.nics.Count - 1)) {
        $bits = if ($null -eq $Request.nics[$n].bandwidthBits) { 0 } else { [long]$Request.nics[$n].bandwidthBits }
        foreach ($adapter in @(Hyper-V\Get-VMNetworkAdapter -VM $Vm | Where-Object { $_.Name -ceq "nic$n" })) {
            Hyper-V\Set-VMNetworkAdapter -VMNetworkAdapter $adapter -MaximumBandwidth $bits
        }
    }
    # Hyper-V counts in operations of 8 KB; a larger one counts as several.
    $iops = if ($null -eq $Request.iops) { 0 } else { [uint64]$Request.iops }
    foreach ($drive in @(Hyper-V\Get-VMHardDiskDrive -VM $Vm)) { Hyper-V\Set-VMHardDiskDrive -VMHardDiskDrive $drive -MaximumIOPS $iops }
}

# 2012 R2 has no template for other systems than Windows. FreeBSD's loader is signed for none.
function Set-VmSecureBoot($Vm, $Request) {
    # A BIOS has no such settings.
    if ($Vm.Generation -eq 1) { return }
    $wanted = $Request.secureBoot
    if ($null -eq $wanted) {
        $wanted = if ($Request.os -ceq 'windows') { 'microsoft' } elseif ($Request.os -ceq 'linux' -and $script:Modern) { 'uefi-ca' } else { 'off' }
    }
    $disk = Get-SystemDisk $Vm
    if ($wanted -ceq 'off') {
        Hyper-V\Set-VMFirmware -VM $Vm -FirstBootDevice $disk -EnableSecureBoot Off
        return
    }
    Hyper-V\Set-VMFirmware -VM $Vm -FirstBootDevice $disk -EnableSecureBoot On
    $template = if ($wanted -ceq 'microsoft') { 'MicrosoftWindows' } else { 'MicrosoftUEFICertificateAuthority' }
    if ($script:Modern) { Hyper-V\Set-VMFirmware -VM $Vm -SecureBootTemplate $template }
}

# Puts back what keeps the NICs of a VM from foreign addresses. Adapters are neither added nor removed: it may run.
function Restore-Guard($Request) {
    $vm = Get-OwnVm $Request
    foreach ($n in 0..($Request.nics.Count - 1)) {
        foreach ($adapter in @(Hyper-V\Get-VMNetworkAdapter -VM $vm | Where-Object { $_.Name -ceq "nic$n" })) {
            Hyper-V\Set-VMNetworkAdapter -VMNetworkAdapter $adapter -MacAddressSpoofing Off -DhcpGuard On -RouterGuard On
            Set-AntiSpoof $adapter $Request.nics[$n].address
        }
    }
    @{}
}

# All refusals come before the first change: done whole, or not at all.
function Resize-OwnVm($Request) {
    $vm = Get-OwnVm $Request
    Assert-NotReleased $vm
    $off = [string]$vm.State -eq 'Off'
    $disk = Get-SystemDisk $vm
    if ($null -eq $disk) { throw (New-Refusal 'driver_failed' 'the VM has no disk yet') }
    $size = (Hyper-V\Get-VHD -Path $disk.Path).Size
    $wanted = [uint64]$Request.diskGib * 1GB
    if ($wanted -lt $size) { throw (New-Refusal 'unsupported' 'a disk cannot shrink') }
    if ($wanted -gt $size -and -not (Test-SamePath $disk.Path (Get-DiskPath $Request.vmId))) {
        throw (New-Refusal 'unsupported' 'a disk with checkpoints cannot grow')
    }
    if ($wanted -gt $size -and -not $off -and [string]$disk.ControllerType -eq 'IDE') { throw (New-Refusal 'must_be_off' 'a disk on IDE grows only while the VM is off') }
    if ($wanted -gt $size) { Wait-Merge $vm }
    if (-not $off -and $vm.ProcessorCount -ne $Request.vcpus) { throw (New-Refusal 'must_be_off' 'vCPUs change only while the VM is off') }
    $memoryChanges = (Get-GivenMemory $vm) -ne $Request.memoryMib
    if (-not $off -and $memoryChanges -and (-not $script:Modern -or $vm.DynamicMemoryEnabled)) {
        throw (New-Refusal 'must_be_off' 'memory of this VM changes only while it is off')
    }
    Set-VmCpu $vm $Request
    if ($memoryChanges) { if ($off) { Set-VmMemorySize $vm $Request } else { Set-VmMemoryLive $vm $Request } }
    if ($wanted -gt $size) { Hyper-V\Resize-VHD -Path $disk.Path -SizeBytes $wanted }
    Set-VmLimits $vm $Request
    # Last: until the Notes say the new size, the next look asks for the rest again.
    Set-VmTag $vm $Request $Request.diskGib (Get-TagState (Get-VmTag $vm))
    @{}
}
